"""`statesys topics`: the topic catalogue."""

import click

from console.names import topic_sentence
from console.output import print_json, stdout, table
from console.topic_type import TopicType
from runtime.options import json_option
from schemas.errors import StatesysError
from schemas.topics import TopicState, catalogue, topic_types


@click.command()
@click.argument("topic_type", metavar="[TYPE]", type=TopicType(), required=False)
@click.argument("state_id", metavar="[STATE]", type=int, required=False)
@json_option
def topics(*, topic_type: int | None, state_id: int | None, as_json: bool) -> None:
    """Show what topic types and state ids mean; no server is needed.

    Each type has a sentence, which says what a state of it is about: 301 is about a deployment as
    a whole, 402 about one update in it. TYPE is a number or a name.

    \b
    Example:
      statesys topics           # all topic types
      statesys topics 301       # its states
      statesys topics 301 6     # what one code means
    """
    rows = [row for row in catalogue() if topic_type in (None, row.topic_type)]
    if state_id is not None:
        rows = [row for row in rows if row.state_id == state_id]
    if not rows:
        what = f"topic type {topic_type}" + ("" if state_id is None else f", state {state_id}")
        raise StatesysError(
            f"{what} is not in the catalogue; unknown pairs are normal and stored as they are"
        )
    if as_json:
        print_json([_as_data(row) for row in rows])
    elif topic_type is None:
        _print_types(rows)
    elif state_id is not None:
        _print_state(rows[0])
    else:
        _print_states(rows)


def _as_data(row: TopicState) -> dict[str, object]:
    about = topic_types()[row.topic_type]
    return {**row._asdict(), "meaning": about.sentence, "source": about.source}


def _print_types(rows: list[TopicState]) -> None:
    types: dict[int, tuple[str, int]] = {}
    for row in rows:
        name, count = types.get(row.topic_type, (row.topic_name, 0))
        types[row.topic_type] = (name, count + (row.state_id is not None))
    listed = (
        (str(kind), name, states, topic_sentence(kind)) for kind, (name, states) in types.items()
    )
    columns = ["type", "topic", "states", "meaning"]
    stdout().print(table(columns, listed, right=["type", "states"]))


def _print_states(rows: list[TopicState]) -> None:
    listed = ((str(row.state_id), row.state_name or "") for row in rows if row.state_id is not None)
    first = rows[0]
    title = f"{first.topic_type} {first.topic_name}"
    stdout().print(table(["state", "name"], listed, title=title, right=["state"]))
    _print_meaning(first.topic_type)


def _print_state(row: TopicState) -> None:
    click.echo(f"{row.topic_type}/{row.state_id}: {row.state_name}")
    click.echo(row.topic_name)
    _print_meaning(row.topic_type)


def _print_meaning(topic_type: int) -> None:
    about = topic_types()[topic_type]
    rests = "" if about.source != "name" else " (Microsoft documents no more than the name.)"
    click.echo(f"{about.sentence}{rests}")
