"""Snapshots of the clients' counters, and counts by topic. The SQL is `activity.sql`."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from loader.store.shared import SharedStore
from runtime.database import Session
from runtime.statements import statements
from runtime.windows import TOP_KEPT, Snapshot, client_windows

#: Key of the transaction-level advisory lock of snapshots.
_SNAPSHOT_LOCK = 7828379705
_HOUR = timedelta(hours=1)
#: Age from which counts by topic are deleted: a week, and a day to compare with it.
TOPICS_KEPT = timedelta(days=8)
_SQL = statements("loader", "activity.sql")


def keep_snapshots_out(session: Session) -> None:
    """Wait for a running snapshot, and keep others out until the end of the transaction.

    A snapshot that began before a client was deleted would write that client's row anew.
    """
    session.execute(_SQL["shared_lock"], {"key": _SNAPSHOT_LOCK})


def keep_deletions_out(session: Session) -> None:
    """Wait for clients that are being deleted, and keep others until the end of the transaction.

    What is written down of clients meanwhile would name a client that is gone.
    """
    session.execute(_SQL["exclusive_lock"], {"key": _SNAPSHOT_LOCK})


class ActivityStore(SharedStore):
    """A connection for counts of what is sent.

    Args:
        url: URL of the database.

    Raises:
        DatabaseUnavailable: from every method; try again.
        SchemaMissing: from every method; the database is not migrated.
    """

    _sql = _SQL

    def __init__(self, url: str) -> None:
        super().__init__(url, name="statesys activity")

    def add_topics(self, counts: Mapping[int, int], *, now: datetime) -> None:
        """Add counts to the running hour, and delete those that are too old.

        Args:
            counts: topic type -> number of messages.
            now: timezone-aware; a parameter, so that tests need not wait.
        """
        with self._session.transaction():
            types, messages = list(counts), list(counts.values())
            self._run("add_topics", now=now, types=types, messages=messages)
            self._run("drop_topics", now=now, retention=TOPICS_KEPT)

    def take_snapshot(self, *, now: datetime) -> int | None:
        """Write down the counters of all clients, unless a loader has done so in this hour.

        Args:
            now: timezone-aware.

        Returns:
            The number of clients that have sent something since the last snapshot; None if there is
            nothing to do, or another process works on it.
        """
        with self._session.transaction():
            if not self._one("lock", key=_SNAPSHOT_LOCK):
                return None
            mark = now.replace(minute=0, second=0, microsecond=0)
            if not self._take_turn("activity", now=mark, interval=_HOUR):
                return None
            number = self._one("begin_snapshot", now=now)
            self._run("drop_snapshots", number=number)
            changed = self._run("continue_clients", number=number).rowcount
            return cast(int, changed + self._run("begin_clients", number=number).rowcount)

    def keep_top(self, *, now: datetime, interval: timedelta) -> bool:
        """Keep the clients that sent most, unless that was done within the interval.

        This reads all clients.

        Args:
            now: timezone-aware.
            interval: interval of these lists.

        Returns:
            Whether they were kept.
        """
        with self._session.transaction():
            # A client that is forgotten meanwhile would be listed anew.
            if not self._one("lock", key=_SNAPSHOT_LOCK):
                return False
            if not self._take_turn("top", now=now, interval=interval):
                return False
            windows = client_windows(
                [Snapshot(*row) for row in self._run("snapshots", now=now)], now
            )
            self._run("clear_top")
            self._run(
                "keep_top",
                now=now,
                hour_since=windows.hour_since,
                hour_begin=windows.hour.begin,
                day_since=windows.day_since,
                day_begin=windows.day.begin,
                most=TOP_KEPT,
            )
            return True

    def _one(self, statement: str, **values: Any) -> Any:
        row = self._run(statement, **values).fetchone()
        return None if row is None else row[0]
