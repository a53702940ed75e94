"""`statesys top clients` and `statesys top topics`."""

import click

from console.csv_output import csv_option
from console.listing import limit_option
from console.queries.activity import ActivityQueries
from console.reading import snapshot
from console.top.rankings import top_topics
from console.top.view import show_clients, show_topics
from runtime.options import json_option, together

_options = together(
    click.option(
        "--by",
        type=click.Choice(["hour", "day"]),
        default="hour",
        show_default=True,
        help="The window that decides the order.",
    ),
    limit_option("Lines", default=20),
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
    On a large site, up to 1,000 lines are from a list that a loader makes every five minutes.

    \b
    Example:
      statesys top clients
      statesys top clients --by day --limit 100 --csv > storm.csv
    """
    with snapshot(ActivityQueries, name="statesys top") as queries:
        found = queries.top_clients(by_day=by == "day", limit=limit)
    show_clients(found, as_json=as_json, as_csv=as_csv)


@top.command()
@_options
def topics(*, by: str, limit: int, as_json: bool, as_csv: bool) -> None:
    """List the topic types of which most state messages came, repeated ones included.

    "usual" is the median of the earlier hours in which there were any, of up to eight days, and
    "times" compares the rate of the last hour with it. The windows begin with a full hour. Loaders
    write their counts every minute.

    \b
    Example:
      statesys top topics
      statesys top topics --by day --json
    """
    with snapshot(ActivityQueries, name="statesys top") as queries:
        found = top_topics(queries, by_day=by == "day", limit=limit)
    show_topics(found, as_json=as_json, as_csv=as_csv)
