"""The topic catalogue: names of topic types and state ids.

Microsoft documents only some of them; unknown pairs are normal and stored as they are.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class TopicState(NamedTuple):
    """One row of the catalogue; `state_id` None is the type itself."""

    topic_type: int
    topic_name: str
    state_id: int | None
    state_name: str | None


@cache
def catalogue() -> tuple[TopicState, ...]:
    """Every row of `topic_states.csv`, in its order."""
    text = files("schemas").joinpath("topic_states.csv").read_text(encoding="utf-8")
    return tuple(
        TopicState(
            int(row["topic_type"]),
            row["topic_name"],
            int(row["state_id"]) if row["state_id"] else None,
            row["state_name"] or None,
        )
        for row in csv.DictReader(text.splitlines())
    )


class TopicType(NamedTuple):
    """What a topic type is about.

    Attributes:
        sentence: one or two sentences of our own.
        source: what they rest on: the page or class of Microsoft's documentation, or `name` where
            nothing but the name of the type is documented.
    """

    topic_type: int
    sentence: str
    source: str


@cache
def topic_types() -> dict[int, TopicType]:
    """Topic type -> what it is about, for every type of the catalogue; from `topic_types.csv`."""
    text = files("schemas").joinpath("topic_types.csv").read_text(encoding="utf-8")
    return {
        int(row["topic_type"]): TopicType(int(row["topic_type"]), row["sentence"], row["source"])
        for row in csv.DictReader(text.splitlines())
    }
