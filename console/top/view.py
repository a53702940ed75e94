"""Shows who sends most: a table, JSON or CSV."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from console.csv_output import print_csv
from console.output import counted, moment, print_json, stdout, table
from console.queries.activity import TopClients
from console.top.rankings import (
    BusyClient,
    BusyTopic,
    TopTopics,
    clients_as_data,
    topics_as_data,
)

_CLIENTS = {
    "client": "name",
    "id": "client_id",
    "hour": "hour",
    "per hour": "per_hour",
    "times": "hour_times",
    "day": "day",
    "times a day": "day_times",
}
_TOPICS = {
    "type": "topic_type",
    "topic": "topic_name",
    "hour": "hour",
    "per hour": "per_hour",
    "%": "hour_percent",
    "usual": "usual",
    "times": "times",
    "day": "day",
    "% a day": "day_percent",
}
#: Columns that are texts.
_TEXTS = {"client", "id", "topic"}


def show_clients(top: TopClients, *, as_json: bool, as_csv: bool) -> None:
    """Print the clients; with a table and CSV, the windows go to stderr."""

    def sent(window: Mapping[str, Any]) -> str:
        return f" of {counted(window['clients'], 'client')}, median {window['median']:,}"

    _show(_CLIENTS, clients_as_data(top), "clients", sent, as_json=as_json, as_csv=as_csv)


def show_topics(top: TopTopics, *, as_json: bool, as_csv: bool) -> None:
    """Print the topic types; with a table and CSV, the windows go to stderr."""
    _show(_TOPICS, topics_as_data(top), "topics", lambda _: "", as_json=as_json, as_csv=as_csv)


def _show(
    columns: Mapping[str, str],
    told: Mapping[str, Any],
    rows: str,
    rest: Callable[[Mapping[str, Any]], str],
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    if as_json:
        print_json(told)
        return
    _print(columns, told[rows], told, as_csv=as_csv)
    for name in ("hour", "day"):
        window = told[name]
        limits = f"{moment(window['from'])} to {moment(window['to'])}"
        sent = counted(window["messages"], "message")
        click.echo(f"{name}: {limits}, {sent}{rest(window)}", err=True)
    click.echo(f"as of {moment(told['as_of'])} UTC, by the database's clock", err=True)


def _print(
    columns: Mapping[str, str],
    rows: Sequence[BusyClient | BusyTopic],
    told: Mapping[str, Any],
    *,
    as_csv: bool,
) -> None:
    if as_csv:
        # A file outlives the notes on stderr, so each line has the limits of the windows, too.
        limits = [told["hour"]["from"], told["day"]["from"], told["hour"]["to"]]
        keys = list(columns.values())
        lines = ([*(getattr(row, key) for key in keys), *limits] for row in rows)
        print_csv([*keys, "hour_from", "day_from", "as_of"], lines)
        return
    cells = ([_cell(key, getattr(row, key)) for key in columns.values()] for row in rows)
    stdout().print(table(list(columns), cells, right=columns.keys() - _TEXTS))


def _cell(key: str, value: object) -> object:
    if value is None:
        return "-"
    if key == "topic_type":
        # A name rather than a number: no commas.
        return str(value)
    return f"{value:,.1f}" if isinstance(value, float) else value
