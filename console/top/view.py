"""Shows who sends most: a table, JSON or CSV."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from console.csv_output import print_csv
from console.names import topic_name
from console.output import counted, moment, print_json, stdout, table
from console.queries.activity import (
    ClientActivity,
    TopClients,
    TopicActivity,
    TopicTotals,
    Typical,
)
from runtime.windows import Window


class TopTopics(NamedTuple):
    """The topic types of which most came."""

    as_of: datetime
    hour: Window
    day: Window
    totals: TopicTotals
    found: Sequence[TopicActivity]

    @property
    def each(self) -> list[dict[str, Any]]:
        """A topic type each, as data; shares in percent."""
        return [
            {
                "topic_type": row.topic_type,
                "topic_name": topic_name(row.topic_type),
                "hour": row.hour,
                "per_hour": _rounded(rate := self.hour.an_hour(row.hour)),
                "hour_percent": _percent(row.hour, self.totals.hour),
                "usual": row.usual,
                "times": round(rate / row.usual, 1) if row.usual and rate is not None else None,
                "day": row.day,
                "day_percent": _percent(row.day, self.totals.day),
            }
            for row in self.found
        ]


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
    windows = {name: _window(top, name) for name in ("hour", "day")}
    rows = [_client(top, row) for row in top.found]
    if as_json:
        print_json({"as_of": top.hour.end, **windows, "clients": rows})
        return
    _print(_CLIENTS, rows, windows, as_csv=as_csv)
    for name, window in windows.items():
        click.echo(
            f"{name}: {_limits(window)}, {counted(window['messages'], 'message')} of "
            f"{counted(window['clients'], 'client')}, median {window['median']:,}",
            err=True,
        )
    _echo_as_of(top.hour.end)


def _client(top: TopClients, row: ClientActivity) -> dict[str, Any]:
    return {
        "client_id": row.client_id,
        "name": row.name,
        "hour": row.hour,
        "per_hour": _rounded(top.hour.an_hour(row.hour)),
        "hour_times": _times(top.typical.get("hour"), row.hour),
        "day": row.day,
        "day_times": _times(top.typical.get("day"), row.day),
    }


def _window(top: TopClients, name: str) -> dict[str, Any]:
    """A window as data: its limits, and what all clients sent in it."""
    window = top.hour if name == "hour" else top.day
    typical = top.typical.get(name, Typical(name, 0, 0, 0))
    told = {key: value for key, value in typical._asdict().items() if key != "window"}
    return {"from": window.begin, "to": window.end, **told}


def _times(typical: Typical | None, messages: int) -> float | None:
    return None if typical is None else round(messages / typical.median, 1)


def show_topics(top: TopTopics, *, as_json: bool, as_csv: bool) -> None:
    """Print the topic types; with a table and CSV, the windows go to stderr."""
    windows: dict[str, dict[str, Any]] = {
        name: {"from": window.begin, "to": window.end, "messages": messages}
        for name, window, messages in (
            ("hour", top.hour, top.totals.hour),
            ("day", top.day, top.totals.day),
        )
    }
    if as_json:
        print_json({"as_of": top.as_of, **windows, "topics": top.each})
        return
    _print(_TOPICS, top.each, windows, as_csv=as_csv)
    for name, window in windows.items():
        click.echo(f"{name}: {_limits(window)}, {counted(window['messages'], 'message')}", err=True)
    _echo_as_of(top.as_of)


def _print(
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    windows: Mapping[str, Mapping[str, Any]],
    *,
    as_csv: bool,
) -> None:
    if as_csv:
        # A file outlives the notes on stderr, so each line has the limits of the windows, too.
        limits = [windows["hour"]["from"], windows["day"]["from"], windows["hour"]["to"]]
        keys = list(columns.values())
        lines = ([*(row[key] for key in keys), *limits] for row in rows)
        print_csv([*keys, "hour_from", "day_from", "as_of"], lines)
        return
    cells = ([_cell(key, row[key]) for key in columns.values()] for row in rows)
    stdout().print(table(list(columns), cells, right=columns.keys() - _TEXTS))


def _cell(key: str, value: object) -> object:
    if value is None:
        return "-"
    if key == "topic_type":
        # A name rather than a number: no commas.
        return str(value)
    return f"{value:,.1f}" if isinstance(value, float) else value


def _limits(window: Mapping[str, Any]) -> str:
    return f"{moment(window['from'])} to {moment(window['to'])}"


def _echo_as_of(now: datetime) -> None:
    click.echo(f"as of {moment(now)} UTC, by the database's clock", err=True)


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 1)


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None
