"""How `statesys messages` shows messages."""

from collections.abc import Sequence
from typing import Any

import click

from console.names import state_name, topic_name
from console.output import moment, stdout, table
from console.queries.messages import FoundMessage
from runtime.printable import printable

#: The columns as CSV.
COLUMNS = (
    *("loaded_at", "client_id", "client_name", "serial", "topic_type", "topic", "topic_id"),
    *("user_name", "user_sid", "state_id", "state", "criticality", "message_time"),
    *("received_at", "reused", "digest"),
)
_COLUMNS = ("loaded", "client", "serial", "topic", "topic id", "state", "user", "recorded")
#: Characters of a value in a line that is followed.
_LONGEST = 100


def show(found: Sequence[FoundMessage]) -> None:
    """Print a table."""
    stdout().print(table(_COLUMNS, map(_row, found)))


def show_line(one: FoundMessage) -> None:
    """Print one line, as of a log."""
    click.echo("  ".join(printable(value, limit=_LONGEST) for value in _row(one) if value != ""))


def as_data(one: FoundMessage) -> dict[str, Any]:
    """A message with the names of its codes, for JSON."""
    topic, state = topic_name(one.topic_type), state_name(one.topic_type, one.state_id)
    return {**one._asdict(), "key": one.key, "topic_name": topic, "state_name": state}


def cells(one: FoundMessage) -> list[object]:
    """The values of a message, one for each of `COLUMNS`."""
    data = as_data(one)
    data |= {"topic": data["topic_name"], "state": data["state_name"]}
    return [data[column] for column in COLUMNS]


def _row(one: FoundMessage) -> Sequence[object]:
    # Numbers as text: a serial has no thousands.
    return (
        moment(one.loaded_at),
        one.client_name or one.client_id,
        "-" if one.serial is None else str(one.serial),
        topic_name(one.topic_type),
        one.topic_id,
        state_name(one.topic_type, one.state_id),
        one.user_name,
        moment(one.message_time),
    )
