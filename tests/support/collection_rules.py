"""Small sites, and rules as text together with what they mean, told in plain Python."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import strategies as st

from tests.support.world import Tables

HEARTBEAT = timedelta(minutes=15)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
TOPIC_TYPES, STATES = (300, 301, 402), (-1, 0, 1, 3, 4, 4294967295)
#: Names of states of topic type 301, and how a rule may write them.
NAMED = {3: "waiting for ANOTHER installation", 4: "Successfully installed updates"}
TOPIC_IDS = ("a", "A", "b'c", "{b1}", "%")
#: With letters of both cases, and every sign that a pattern, SQL or the grammar has a use for.
NAME_CHARACTERS = "aBz9-_%\\'*?é日 "
VERSIONS = (
    *("5.00", "5", "5.0.0", "5.00.9122", "5.00.9122.1000", "5.10", "10.0", "0", "0.0", "00.1"),
    *("", "5.x", "1.", ".1", "5..1", "1234567890", "5.0\n", "\u0663", "-1", "5.00 "),
)
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,15}")
#: Some ages are the very moments that durations of rules name.
AGES = (timedelta(0), 10 * MINUTE, 45 * MINUTE, 46 * MINUTE, DAY, 7 * DAY, 30 * DAY, -DAY)


class State(NamedTuple):
    """A current state."""

    topic_type: int
    topic_id: str
    user_sid: str
    state_id: int


class Member(NamedTuple):
    """What a rule may ask of a client.

    Attributes:
        seen: how long ago it was seen; None: never, and then `first_seen` counts.
    """

    name: str
    version: str
    seen: timedelta | None
    first_seen: timedelta
    states: Sequence[State]
    duplicate: bool
    gap: bool
    silent: bool

    @property
    def ago(self) -> timedelta:
        return self.first_seen if self.seen is None else self.seen

    @property
    def condition(self) -> str:
        marks = {"duplicate identity": self.duplicate, "gaps": self.gap, "silent": self.silent}
        quiet = {"quiet": self.ago >= 3 * HEARTBEAT, "complete": True}
        return next(name for name, holds in {**marks, **quiet}.items() if holds)


class Case(NamedTuple):
    """A rule, and whether a client fulfils it."""

    text: str
    holds: Callable[[Member], bool]


ages = st.sampled_from(AGES)
members = st.builds(
    Member,
    name=st.text(NAME_CHARACTERS, max_size=4),
    version=st.sampled_from(VERSIONS),
    seen=st.none() | ages,
    first_seen=ages,
    states=st.lists(
        st.builds(
            State,
            st.sampled_from(TOPIC_TYPES),
            st.sampled_from(TOPIC_IDS),
            st.sampled_from(("", "S-1")),
            st.sampled_from(STATES),
        ),
        max_size=5,
        unique_by=lambda state: state[:3],
    ),
    duplicate=st.sampled_from((False, False, True)),
    gap=st.booleans(),
    silent=st.booleans(),
)


def quoted(text: str) -> str:
    """A text as a rule writes it."""
    return "'" + text.replace("'", "''") + "'"


def parts(version: str) -> list[int] | None:
    """A version as numbers, without zeros at the end; None if it is no version."""
    if _VERSION.fullmatch(version) is None:
        return None
    numbers = [int(part) for part in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
    "=": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<>": lambda one, other: one != other,
}
_ORDER = ("<", "<=", ">", ">=")


@st.composite
def state_terms(draw: st.DrawFn) -> Case:
    topic_type = draw(st.sampled_from(TOPIC_TYPES))
    topic_id = draw(st.none() | st.sampled_from(TOPIC_IDS))
    ids = draw(st.lists(st.sampled_from(STATES), min_size=1, max_size=3))
    topic = f"({topic_type})" if topic_id is None else f"({topic_type}, {quoted(topic_id)})"
    written = [
        quoted(NAMED[one])
        if topic_type == 301 and one in NAMED and draw(st.booleans())
        else str(one)
        for one in ids
    ]
    among = f"= {written[0]}" if len(ids) == 1 else f"in ({', '.join(written)})"

    def found(client: Member) -> list[int]:
        return [
            state.state_id
            for state in client.states
            if state.topic_type == topic_type and topic_id in (None, state.topic_id)
        ]

    return draw(
        st.sampled_from(
            (
                Case(f"state{topic} {among}", lambda c: any(one in ids for one in found(c))),
                Case(
                    f"every{topic} {among}",
                    lambda c: bool(found(c)) and all(one in ids for one in found(c)),
                ),
                Case(f"no state{topic}", lambda c: not found(c)),
            )
        )
    )


@st.composite
def name_terms(draw: st.DrawFn) -> Case:
    given = draw(st.lists(st.text(NAME_CHARACTERS, max_size=4), min_size=1, max_size=3))
    lower = [name.lower() for name in given]
    pattern = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in lower[0])
    listed = ", ".join(map(quoted, given))
    return draw(
        st.sampled_from(
            (
                Case(f"name in ({listed})", lambda c: c.name.lower() in lower),
                Case(f"name = {quoted(given[0])}", lambda c: c.name.lower() == lower[0]),
                Case(f"name != {quoted(given[0])}", lambda c: c.name.lower() != lower[0]),
                Case(
                    f"name like {quoted(given[0])}",
                    lambda c: re.fullmatch(pattern, c.name.lower(), re.DOTALL) is not None,
                ),
            )
        )
    )


@st.composite
def version_terms(draw: st.DrawFn) -> Case:
    version = draw(st.sampled_from([one for one in VERSIONS if parts(one) is not None]))
    sign = draw(st.sampled_from(tuple(COMPARISONS)))
    compare = COMPARISONS[sign]
    return Case(
        f"version {sign} {quoted(version)}",
        lambda c: parts(c.version) is not None and compare(parts(c.version), parts(version)),
    )


@st.composite
def seen_terms(draw: st.DrawFn) -> Case:
    ago = draw(st.sampled_from([age for age in AGES if age >= timedelta(0)]))
    sign = draw(st.sampled_from(_ORDER))
    compare = COMPARISONS[sign]
    minutes = ago // MINUTE
    text = draw(st.sampled_from((f"{minutes}m", f"{minutes}min", f"{minutes * 60}s")))
    return Case(f"seen {sign} {text}", lambda c: compare(c.ago, ago))


@st.composite
def condition_terms(draw: st.DrawFn) -> Case:
    every = ("duplicate identity", "gaps", "silent", "quiet", "complete")
    given = draw(st.lists(st.sampled_from(every), min_size=1, max_size=3))
    written = [quoted(one) if draw(st.booleans()) else one for one in given]
    return draw(
        st.sampled_from(
            (
                Case(f"condition in ({', '.join(written)})", lambda c: c.condition in given),
                Case(f"condition = {written[0]}", lambda c: c.condition == given[0]),
                Case(f"condition != {written[0]}", lambda c: c.condition != given[0]),
            )
        )
    )


terms = st.one_of(state_terms(), name_terms(), version_terms(), seen_terms(), condition_terms())


def _joined(cases: list[Case], how: str) -> Case:
    texts = [case.text for case in cases]
    holds = [case.holds for case in cases]
    word, whether = {"and": ("all", all), "or": ("any", any)}[how.partition(" ")[0]]
    if how.endswith("list"):
        text = f"{word}({', '.join(texts)})"
    else:
        text = f" {how} ".join(f"({one})" for one in texts)
    return Case(text, lambda c: whether(one(c) for one in holds))


def _unbracketed(cases: list[Case]) -> Case:
    """Terms in a row: and binds before or, not before both."""
    first, second, third = cases
    return Case(
        f"{first.text} or not {second.text} and {third.text}",
        lambda c: first.holds(c) or (not second.holds(c) and third.holds(c)),
    )


rules = st.recursive(
    terms | st.lists(terms, min_size=3, max_size=3).map(_unbracketed),
    lambda inner: st.one_of(
        inner.map(lambda case: Case(f"not ({case.text})", lambda c: not case.holds(c))),
        st.builds(
            _joined,
            st.lists(inner, min_size=1, max_size=3),
            st.sampled_from(("and", "or", "and list", "or list")),
        ),
    ),
    max_leaves=8,
)


def write(tables: Tables, site: Sequence[Member]) -> list[UUID]:
    """Put clients into a database, in the place of all others; return their ids in order."""
    tables.truncate()
    run = tables.connection.execute
    ids = [UUID(int=number, version=4) for number in range(1, len(site) + 1)]
    for who, one in zip(ids, site, strict=True):
        run(
            "INSERT INTO client (client_id, name, version, highest_serial, last_seen, first_seen, "
            "duplicate_identity_at) VALUES (%s, %s, %s, 9, now() - %s::interval, "
            "now() - %s::interval, CASE WHEN %s THEN now() END)",
            [who, one.name, one.version, one.seen, one.first_seen, one.duplicate],
        )
        for state in one.states:
            run(
                "INSERT INTO current_state (client_id, topic_type, topic_id, user_sid, state_id, "
                "criticality, message_time, digest, params) "
                "VALUES (%s, %s, %s, %s, %s, 0, now(), '\\x00', '{}')",
                [who, *state],
            )
        if one.gap:
            run(
                "INSERT INTO missing_message_range (client_id, first_serial, last_serial, "
                "detected_at) VALUES (%s, 1, 2, now())",
                [who],
            )
        if one.silent:
            run(
                "INSERT INTO resync_request (client_id, request_id, reason, requested_at, sent_at, "
                "attempts, closed_at, closed_how) SELECT %s, gen_random_uuid(), 'missing', at, at, "
                "1, at, 'unanswered' FROM generate_series(1, 3) n, "
                "LATERAL (SELECT now() + n * interval '10 days') AS moments (at)",
                [who],
            )
    return ids
