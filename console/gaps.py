"""`statesys gaps`: what has not been received."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from runtime.clients import ClientType
from runtime.options import json_option, setting
from runtime.settings import load_settings

if TYPE_CHECKING:
    # psycopg takes its time; --help does without.
    from console.queries.rows import MissingRow


@click.command()
@click.argument("client_id", metavar="[CLIENT]", type=ClientType(), required=False)
@click.option("--all", "closed", is_flag=True, help="Closed ranges too.")
@click.option(
    "--limit", type=click.IntRange(1), default=1000, show_default=True, help="Ranges at most."
)
@setting("min_missing_message_age")
@setting("resync_merge_interval")
@json_option
def gaps(*, client_id: UUID | None, closed: bool, limit: int, as_json: bool, **flags: Any) -> None:
    """List missing ranges: serials below a client's highest that never arrived. Oldest first.

    A range is due when it is older than the minimal age, and the client was not asked within the
    merge interval; the flags only matter for the column "due", loaders have settings of their own.

    \b
    Example:
      statesys gaps
      statesys gaps --all GUID:AA9C5F9F-24C2-4B2A-8C4E-0A1B2C3D4E5F
    """
    from console.output import age, counted, moment, print_json, stdout, table  # noqa: PLC0415
    from console.queries import Queries  # noqa: PLC0415

    settings = load_settings(**flags)
    with Queries.open(settings.required_database_url(), name="statesys gaps") as queries:
        if client_id is not None:
            queries.known_client(client_id)
        # One more than is shown tells whether there are more.
        found = queries.missing(client_id, closed=closed, limit=limit + 1)
    now = datetime.now(UTC)

    def due(row: "MissingRow") -> datetime | None:
        return due_at(
            row,
            min_age=settings.min_missing_message_age,
            merge_interval=settings.resync_merge_interval,
        )

    shown = found[:limit]
    if as_json:
        print_json([{**row._asdict(), "due_at": due(row)} for row in shown])
    else:
        rows = [
            (
                row.client_name,
                row.client_id,
                f"{row.first_serial}-{row.last_serial}" + (" merged" if row.merged else ""),
                age(now - row.detected_at),
                _asked(row),
                _due(due(row), now) if row.closed_at is None else "",
                "" if row.closed_at is None else f"{row.closed_how} {moment(row.closed_at)}",
            )
            for row in shown
        ]
        columns = ["client", "id", "serials", "age", "resync", "due", "closed"]
        width = len(columns) if closed else len(columns) - 1
        stdout().print(table(columns[:width], (row[:width] for row in rows)))
    more = " (there are more: --limit)" if len(found) > limit else ""
    click.echo(f"{counted(len(shown), 'range')}{more}", err=True)


def due_at(row: "MissingRow", *, min_age: timedelta, merge_interval: timedelta) -> datetime | None:
    """When the client is asked about an open range, None while a request is open.

    Args:
        min_age: of a range before anybody is asked about it.
        merge_interval: between two requests to one client.
    """
    if row.closed_at is not None or (row.asked_at is not None and row.ask_closed_how is None):
        return None
    # A merged range is old by nature.
    ripe = row.detected_at + (timedelta(0) if row.merged else min_age)
    return ripe if row.asked_at is None else max(ripe, row.asked_at + merge_interval)


def _asked(row: "MissingRow") -> str:
    from console.output import moment  # noqa: PLC0415

    if row.asked_at is None or (row.asked_at < row.detected_at and row.ask_closed_how):
        return "not asked"
    if row.ask_closed_how is not None:
        return f"{row.ask_closed_how}, asked {moment(row.asked_at)}"
    return f"{'asked' if row.ask_sent_at else 'to be asked'} {moment(row.asked_at)}"


def _due(at: datetime | None, now: datetime) -> str:
    from console.output import age  # noqa: PLC0415

    if at is None:
        return "waiting for the answer"
    return "now" if at <= now else f"in {age(at - now)}"
