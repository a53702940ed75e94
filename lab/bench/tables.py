"""The bench's own tables: emptied or filled before a run, queried after it (`tables.sql`)."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from typing import Any, LiteralString, NamedTuple, TypeAlias, cast

from lab.bench.job import GAP_EVERY, Existing
from loader.activity import TOP_INTERVAL
from loader.store.activity import ActivityStore
from loader.store.partitions import DAYS_AHEAD, PartitionStore
from loader.store.resyncs import ResyncStore
from loader.tasks import keep_totals
from runtime.database import own_session
from runtime.statements import statements

#: Takes a sentence.
Show: TypeAlias = Callable[[str], None]

_NAME = "statesys bench"
#: State messages in one statement, which take some 30 MB in the server.
_SLICE = 100_000
#: Longer than any partition is old, so that nothing is dropped here.
_FOREVER = timedelta(days=36_500)
#: The reader idles in its transaction on purpose, without a timeout.
_WAITS = {"idle_in_transaction_session_timeout": "0"}


def fill(url: str, existing: Existing, show: Show) -> None:
    """Write the rows that loaders would have left of earlier reports; vacuum and checkpoint.

    Args:
        url: of a migrated database without clients.
        existing: how much to write; with 0 messages the function does nothing.
        show: called with the progress.

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
        session.execute(_statement("report_at"))
        values = existing._asdict() | {"until": until, "gap_every": GAP_EVERY}
        show(f"filling the tables: {existing.clients:,} clients")
        session.execute(_statement("fill_clients"), values)
        for name in ("fill_ranges", "fill_snapshots", "fill_activity", "fill_topics"):
            session.execute(_statement(name), values)
        step = max(1, _SLICE // existing.size)
        for first in range(0, existing.reports, step):
            last = min(first + step, existing.reports)
            session.execute(_statement("fill_messages"), values | {"first": first, "last": last})
            show(
                f"filling the tables: {last * existing.size:,} of "
                f"{existing.messages:,} state messages"
            )
        show("vacuuming the tables")
        session.execute(_statement("vacuum"))
        for states in (False, True):
            keep_totals(lambda: ResyncStore(url, name=_NAME), states=states)
        with closing(ActivityStore(url)) as store:
            store.take_snapshot(now=until)
            store.keep_top(now=until, interval=TOP_INTERVAL)
        session.execute(_statement("flush"))


def _make_partitions(url: str, today: date, days: int) -> None:
    """Create the partitions of the days before today; the migration has created the others."""
    with closing(PartitionStore(url, name=_NAME)) as store:
        for back in range(days - 1, 0, -(DAYS_AHEAD + 1)):
            store.keep(today=today - timedelta(days=back), retention=_FOREVER)


class Percentiles(NamedTuple):
    """Percentiles of a time, in seconds."""

    p50: float
    p95: float
    p99: float


class Times(NamedTuple):
    """Queue time (relay to database) and total time (client to database)."""

    queue: Percentiles
    total: Percentiles


def wipe(url: str) -> None:
    """Drop the schema statesys from the bench's database."""
    with own_session(url, _NAME, autocommit=True) as session:
        session.execute(_statement("begin_anew"))
        session.execute(_statement("flush"))


def loaded(url: str, since: float) -> int:
    """Count the state messages loaded since a moment (seconds since 1970)."""
    return int(_row(url, "loaded", since)[0])


def times(url: str, since: float) -> Times:
    """Return how long the messages loaded since a moment (seconds since 1970) took."""
    queue, total = _row(url, "times", since)
    return Times(Percentiles(*queue), Percentiles(*total))


def partitions(url: str) -> set[str]:
    """Names of the partitions of the history, including detached ones that still exist."""
    with own_session(url, _NAME, autocommit=True) as session:
        return {name for (name,) in session.execute(_statement("partitions"))}


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Hold one snapshot of the whole history until the end, as a dump does."""
    with own_session(url, f"{_NAME} reader", autocommit=True, different=_WAITS) as session:
        session.execute(_statement("begin_reading"))
        session.execute(_statement("read"))
        yield


def _row(url: str, name: str, since: float) -> tuple[Any, ...]:
    with own_session(url, _NAME, autocommit=True) as session:
        row: tuple[Any, ...] | None = session.execute(_statement(name), [since]).fetchone()
    assert row is not None
    return row


def _statement(name: str) -> LiteralString:
    # The file is part of the source, so the text is as safe as a literal.
    text = statements("lab.bench", "tables.sql")[name]
    return cast(LiteralString, text)  # type: ignore[redundant-cast]
