"""`statesys topics`: the topic catalogue."""

import click

from console.output import print_json, stdout, table
from runtime.options import json_option
from schemas.errors import StatesysError
from schemas.topics import catalogue


@click.command()
@click.argument("topic_type", metavar="[TYPE]", type=int, required=False)
@click.argument("state_id", metavar="[STATE]", type=int, required=False)
@json_option
def topics(*, topic_type: int | None, state_id: int | None, as_json: bool) -> None:
    """Show the names of topic types and state ids; no server is needed.

    \b
    Example:
      statesys topics           # all topic types
      statesys topics 301       # its states
      statesys topics 301 6     # one state
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
        print_json(rows)
    elif topic_type is None:
        types: dict[int, tuple[str, int]] = {}
        for row in rows:
            name, count = types.get(row.topic_type, (row.topic_name, 0))
            types[row.topic_type] = (name, count + (row.state_id is not None))
        listed = ((str(kind), name, states) for kind, (name, states) in types.items())
        stdout().print(table(["type", "topic", "states"], listed, right=["type", "states"]))
    else:
        stdout().print(
            table(
                ["type", "topic", "state", "name"],
                (
                    (
                        str(row.topic_type),
                        row.topic_name,
                        "" if row.state_id is None else str(row.state_id),
                        row.state_name,
                    )
                    for row in rows
                ),
                right=["type", "state"],
            )
        )
