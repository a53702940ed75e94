"""Tables that are not empty: an earlier life of the site, before a run. The SQL is `fill.sql`."""

from contextlib import closing
from datetime import date, timedelta
from typing import LiteralString, cast

from lab.bench.job import GAP_EVERY, Existing
from lab.bench.steps import Show
from loader.store import PartitionStore, ResyncStore
from loader.store.partitions import DAYS_AHEAD
from loader.tasks import keep_totals
from runtime.database import own_session
from runtime.statements import statements

_NAME = "statesys bench"
#: State messages of one statement: some 30 MB in the server.
_SLICE = 100_000
#: Longer than any partition is old: nothing is dropped here.
_FOREVER = timedelta(days=36_500)


def fill(url: str, existing: Existing, show: Show) -> None:
    """Write what loaders would have left of earlier reports; then vacuum and write it to disk.

    Args:
        url: of a migrated database without clients.
        existing: how much of it; nothing is done for none.
        show: hears how far it is.

    Raises:
        DatabaseUnavailable: PostgreSQL refuses (a full disk, say).
    """
    if not existing.messages:
        return
    with own_session(url, _NAME, autocommit=True) as session:
        row = session.execute("SELECT now(), current_date").fetchone()
        assert row is not None
        until, today = row
        _make_partitions(url, today, existing.days)
        session.execute(_text("report_at"))
        values = existing._asdict() | {"until": until, "gap_every": GAP_EVERY}
        show(f"filling the tables: {existing.clients:,} clients")
        session.execute(_text("fill_clients"), values)
        session.execute(_text("fill_ranges"), values)
        step = max(1, _SLICE // existing.size)
        for first in range(0, existing.reports, step):
            last = min(first + step, existing.reports)
            session.execute(_text("fill_messages"), values | {"first": first, "last": last})
            show(
                f"filling the tables: {last * existing.size:,} of "
                f"{existing.messages:,} state messages"
            )
        show("vacuuming the tables")
        session.execute(_text("vacuum"))
        keep_totals(lambda: ResyncStore(url, name=_NAME))
        session.execute(_text("flush"))


def _make_partitions(url: str, today: date, days: int) -> None:
    """Partitions of the days before today; the migration has made the others."""
    with closing(PartitionStore(url, name=_NAME)) as store:
        for back in range(days - 1, 0, -(DAYS_AHEAD + 1)):
            store.keep(today=today - timedelta(days=back), retention=_FOREVER)


def _text(name: str) -> LiteralString:
    # The file is ours and constant, which is what LiteralString is about.
    text = statements("lab.bench", "fill.sql")[name]
    return cast(LiteralString, text)  # type: ignore[redundant-cast]
