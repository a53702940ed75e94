"""`statesys states`: the current state of a client."""

from collections.abc import Iterable
from typing import Any

import click

from console.names import state_name, topic_name
from console.output import moment, print_json, stdout, table
from console.queries import Queries
from console.queries.rows import StateRow
from console.reading import snapshot
from runtime.options import GivenClient, client_argument, json_option


@click.command()
@client_argument
@json_option
def states(*, client: GivenClient, as_json: bool) -> None:
    """Show the current state of a client, one line for each topic.

    \b
    Example:
      statesys states GUID:AA9C5F9F-24C2-4B2A-8C4E-0A1B2C3D4E5F
    """
    with snapshot(Queries, name="statesys states") as queries:
        known = queries.known(client)
        found = queries.states(known.client_id)
    if as_json:
        print_json(
            {
                "client_id": known.client_id,
                "name": known.name,
                "states": states_as_data(found),
            }
        )
        return
    rows = [
        (
            f"{s.topic_type} {topic_name(s.topic_type)}",
            s.topic_id,
            s.user_sid,
            f"{s.state_id} {state_name(s.topic_type, s.state_id)}",
            "-" if s.serial is None else s.serial,
            moment(s.message_time),
        )
        for s in found
    ]
    columns = ["topic", "id", "user", "state", "serial", "since"]
    title = f"{known.name or known.client_id}: {len(found):,} states"
    stdout().print(table(columns, rows, title=title, right=["serial"]))


def states_as_data(found: Iterable[StateRow]) -> list[dict[str, Any]]:
    """States with the names of their codes, for `--json`."""
    return [
        {
            **state._asdict(),
            "topic_name": topic_name(state.topic_type),
            "state_name": state_name(state.topic_type, state.state_id),
        }
        for state in found
    ]
