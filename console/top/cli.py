"""`statesys top clients` and `statesys top topics`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import click

from console.csv_output import csv_option, print_csv
from console.names import topic_name
from console.output import counted, moment, print_json, stdout, table
from console.queries.activity import ActivityQueries, ClientActivity, TopicActivity, Typical
from console.top.windows import ClientWindows, Window, client_windows, topic_windows
from runtime.command import settings_and_logs
from runtime.options import json_option, together

_options = together(
    click.option(
        "--by",
        type=click.Choice(["hour", "day"]),
        default="hour",
        show_default=True,
        help="The window that decides the order.",
    ),
    click.option(
        "--limit", type=click.IntRange(1), default=20, show_default=True, help="Lines at most."
    ),
    json_option,
    csv_option,
)


@click.group()
def top() -> None:
    """Show who sends most, in the last hour and the last day."""


@top.command()
@_options
def clients(*, by: str, limit: int, as_json: bool, as_csv: bool) -> None:
    """List the clients that sent most state messages, repeated ones included.

    "times" compares a client with the median of all clients that sent anything in the same window.
    The windows begin when a loader last wrote down the clients' counters, about once an hour; the
    hour's window is 15 to 75 minutes long, the day's up to 25 hours. Their exact limits are shown.

    \b
    Example:
      statesys top clients
      statesys top clients --by day --limit 100 --csv > storm.csv
    """
    _require_one_form(as_json=as_json, as_csv=as_csv)
    url = settings_and_logs().required_database_url()
    with ActivityQueries.open(url, name="statesys top") as queries, queries.snapshot():
        now = queries.now()
        windows = client_windows(queries.snapshots(now=now), now)
        since = {"hour": windows.hour_since, "day": windows.day_since}
        typical = queries.typical(**since)
        found = queries.top_clients(**since, by_day=by == "day", limit=limit)
    _Clients(now, windows, typical, found).show(as_json=as_json, as_csv=as_csv)
