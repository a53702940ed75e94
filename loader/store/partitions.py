"""Partitions of `state_message`: one for each UTC day, made in advance and dropped by retention.

No statement here may block loading for long. A lock that attaching or detaching waits for makes
later chunks wait, too. So these statements give up after a second and are tried again, and
detaching runs CONCURRENTLY, which waits for long readers without blocking others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import chain, count
from typing import Any, LiteralString, cast

from runtime.database import CheckViolation, own_session, sql
from runtime.statements import statements

SCHEMA = "statesys"
#: Partitions are made for this many days ahead, so a site can go without maintenance for a week.
DAYS_AHEAD = 7
_PARENT = "state_message"
_SQL = statements("loader", "partitions.sql")
#: The comment that marks a table before it is detached and dropped.
_MARK = "past the retention: statesys drops this table; to keep it, remove this comment"
#: Milliseconds; the module docstring says why.
_LOCK_TIMEOUT = "1000"
#: Key of the advisory lock of maintenance: "statesys" on a phone keypad, and a number.
_UPKEEP_LOCK = 7828379701
#: Key of the transaction-level advisory lock of `forget`.
_FORGET_LOCK = 7828379704


class PartitionStore:
    """A connection for partition maintenance.

    It is in autocommit mode, because DETACH CONCURRENTLY cannot run in a transaction.

    Args:
        url: URL of the database.
        name: name of the connection, shown in pg_stat_activity.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """

    def __init__(self, url: str, *, name: str) -> None:
        waits = {"lock_timeout": _LOCK_TIMEOUT}
        self._session = own_session(url, name, autocommit=True, different=waits)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def keep(
        self, *, retention: timedelta, today: date | None = None
    ) -> tuple[list[str], list[str]]:
        """Make missing partitions, and drop those older than the retention.

        Does nothing while another process holds the advisory lock of maintenance.

        Args:
            retention: partitions of days longer ago than this are dropped.
            today: a date in UTC; by default the database's, so that a wrong clock of a loader
                cannot drop a partition too early.

        Returns:
            The names of the partitions made, and of those dropped.

        Raises:
            DatabaseUnavailable: try again; also if a lock was not free within a second.
        """
        with self._session.translated(), self._lock() as ours:
            if not ours:
                return [], []
            today = today or self._today()
            return self._make_from(today), self._drop_before(today - retention)

    def make(self) -> list[str]:
        """Make missing partitions, which a loader needs before its first chunk.

        Does nothing while another process holds the advisory lock of maintenance.

        Returns:
            The names of the partitions made.

        Raises:
            DatabaseUnavailable: try again.
        """
        with self._session.translated(), self._lock() as ours:
            return self._make_from(self._today()) if ours else []

    def forget(self, *, retention: timedelta) -> int:
        """Delete ranges and requests that were closed longer ago than the retention.

        A request stays while it is newer than the client's last sign of reuse, because it may be
        what answered that sign.

        Returns:
            The number of deleted rows.

        Raises:
            DatabaseUnavailable: try again.
        """
        with self._session.transaction():
            if not self._one("SELECT pg_try_advisory_xact_lock(%s)", _FORGET_LOCK):
                return 0
            ranges = self._session.connection.execute(
                "DELETE FROM missing_message_range WHERE closed_at < now() - %s", [retention]
            )
            requests = self._session.connection.execute(
                "DELETE FROM resync_request r WHERE closed_at < now() - %s AND NOT EXISTS ("
                "SELECT FROM client c WHERE c.client_id = r.client_id "
                "AND c.reuse_seen_at <= r.requested_at)",
                [retention],
            )
            return ranges.rowcount + requests.rowcount

    def _today(self) -> date:
        return cast(date, self._one("SELECT (now() AT TIME ZONE %s)::date", "UTC"))

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """Try to take the advisory lock of maintenance; yield whether we have it."""
        locked = bool(self._one("SELECT pg_try_advisory_lock(%s)", _UPKEEP_LOCK))
        try:
            yield locked
        finally:
            # A lost connection has released its locks.
            if locked and not self._session.broken:
                self._session.connection.execute("SELECT pg_advisory_unlock(%s)", [_UPKEEP_LOCK])

    def _make_from(self, today: date) -> list[str]:
        days = [today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)]
        return [
            name for day in self._column("missing_days", days=days) if (name := self._make(day))
        ]

    def _make(self, day: date) -> str | None:
        """Create and attach a partition in one transaction, so that no unattached table remains.

        Returns:
            Its name; None if a DEFAULT partition already has rows of that day and so keeps the day.
        """
        name = self._free_name(day)
        table, parent = sql.Identifier(SCHEMA, name), sql.Identifier(SCHEMA, _PARENT)
        first = datetime(day.year, day.month, day.day, tzinfo=UTC)
        try:
            with self._session.connection.transaction():
                self._session.connection.execute(
                    sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(table, parent)
                )
                # A migration may run as another role than the loaders, which drop the table later.
                self._session.connection.execute(
                    sql.SQL("ALTER TABLE {} OWNER TO {}").format(table, self._owner())
                )
                self._session.connection.execute(
                    sql.SQL(
                        "ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
                    ).format(
                        parent,
                        table,
                        sql.Literal(first.isoformat()),
                        sql.Literal((first + timedelta(days=1)).isoformat()),
                    )
                )
        except CheckViolation:
            return None
        return name

    def _free_name(self, day: date) -> str:
        """Return the partition name of a day, with a number appended if that name is taken."""
        names = chain([""], (f"_{number}" for number in count(1)))
        taken = "SELECT to_regclass(%s) IS NOT NULL"
        return next(
            name
            for end in names
            if not self._one(taken, f"{SCHEMA}.{(name := f'{_PARENT}_{day:%Y%m%d}{end}')}")
        )

    def _owner(self) -> sql.Identifier:
        query = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = %s::regclass"
        return sql.Identifier(str(self._one(query, f"{SCHEMA}.{_PARENT}")))

    def _drop_before(self, day: date) -> list[str]:
        """Mark, detach and drop the partitions before a day; return the names of those dropped.

        The mark lets a later run drop a table that an interrupted one had only detached.
        """
        for schema, name in self._rows("pending_partition"):
            # A pending detach blocks every other. If an operator began it, the table is kept.
            self._detach(sql.Identifier(schema, name), "FINALIZE")
        dropped = [self._drop(name) for name in self._column("detached_tables", mark=_MARK)]
        # PostgreSQL refuses DETACH CONCURRENTLY if there is a DEFAULT partition.
        how = "" if self._column("has_default") == [True] else "CONCURRENTLY"
        for name in self._column("past_partitions", day=day):
            table = sql.Identifier(SCHEMA, name)
            self._session.connection.execute(
                sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(_MARK))
            )
            self._detach(table, how)
            dropped.append(self._drop(name))
        return dropped

    def _detach(self, table: sql.Identifier, how: LiteralString) -> None:
        self._session.connection.execute(
            sql.SQL("ALTER TABLE {} DETACH PARTITION {} {}").format(
                sql.Identifier(SCHEMA, _PARENT), table, sql.SQL(how)
            )
        )

    def _drop(self, name: str) -> str:
        self._session.connection.execute(
            sql.SQL("DROP TABLE {}").format(sql.Identifier(SCHEMA, name))
        )
        return name

    def _column(self, statement: str, **values: object) -> list[Any]:
        return [first for first, *_ in self._rows(statement, **values)]

    def _rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        values |= {"schema": SCHEMA, "parent": f"{SCHEMA}.{_PARENT}"}
        return self._session.connection.execute(_SQL[statement], values).fetchall()

    def _one(self, query: str, value: object) -> object:
        row = self._session.connection.execute(query, [value]).fetchone()
        return None if row is None else row[0]
