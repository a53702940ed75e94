"""Partitions of `state_message`: one for each UTC day, made early, dropped when too old.

No statement here may wait in front of the loaders. Attaching and detaching want locks that queue
ahead of every chunk, so they give up after a second and are tried again; detaching runs
CONCURRENTLY, which waits for old readers without holding anybody up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import chain, count
from typing import Any, LiteralString, cast

from runtime.database import CheckViolation, own_session, sql
from runtime.statements import statements

SCHEMA = "statesys"
#: Days ahead that have a partition: loaders may be cut off from upkeep for a week.
DAYS_AHEAD = 7
_PARENT = "state_message"
_SQL = statements("loader", "partitions.sql")
#: The comment on a table that is about to be detached and dropped.
_MARK = "past the retention: statesys drops this table; to keep it, remove this comment"
#: Milliseconds, see above.
_LOCK_TIMEOUT = "1000"
#: Key of the advisory lock of upkeep ("statesys" in letters of a phone, shortened).
_UPKEEP_LOCK = 7828379701
#: Key of the transaction-level advisory lock of forgetting rows.
_FORGET_LOCK = 7828379704


class PartitionStore:
    """A connection of its own, in autocommit: DETACH CONCURRENTLY runs in no transaction."""

    def __init__(self, url: str, *, name: str) -> None:
        waits = {"lock_timeout": _LOCK_TIMEOUT}
        self._session = own_session(url, name, autocommit=True, different=waits)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def keep(
        self, *, retention: timedelta, today: date | None = None
    ) -> tuple[list[str], list[str]]:
        """Make the partitions that are missing, and drop those past the retention.

        Skips when another loader is at it (a session-level try-lock).

        Args:
            retention: partitions of older days are dropped.
            today: the database's day by default: a loader whose own clock runs ahead must not
                drop what is young.

        Returns:
            Names made, and names dropped.

        Raises:
            DatabaseUnavailable: also for a lock that was not had within a second; try again.
        """
        with self._session.translated(), self._turn() as ours:
            if not ours:
                return [], []
            today = today or self._today()
            return self._make_from(today), self._drop_before(today - retention)

    def make(self) -> list[str]:
        """Only make the partitions that are missing: what a loader needs before its first chunk.

        Returns:
            Names made.

        Raises:
            DatabaseUnavailable: try again.
        """
        with self._session.translated(), self._turn() as ours:
            return self._make_from(self._today()) if ours else []

    def forget(self, *, retention: timedelta) -> int:
        """Remove ranges and requests that were closed longer ago than the retention; how many.

        A completed request stays while it is what outdates a sign of reused serials.
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
    def _turn(self) -> Iterator[bool]:
        """Whether upkeep is ours for now."""
        locked = bool(self._one("SELECT pg_try_advisory_lock(%s)", _UPKEEP_LOCK))
        try:
            yield locked
        finally:
            # A lost connection has given its locks back.
            if locked and not self._session.broken:
                self._session.connection.execute("SELECT pg_advisory_unlock(%s)", [_UPKEEP_LOCK])

    def _make_from(self, today: date) -> list[str]:
        days = [today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)]
        return [
            name for day in self._column("missing_days", days=days) if (name := self._make(day))
        ]

    def _make(self, day: date) -> str | None:
        """Create and attach in one transaction: what is not attached is never a half of ours.

        Returns:
            Its name; None when a DEFAULT partition has rows of that day, and takes the others too.
        """
        name = self._free_name(day)
        table, parent = sql.Identifier(SCHEMA, name), sql.Identifier(SCHEMA, _PARENT)
        first = datetime(day.year, day.month, day.day, tzinfo=UTC)
        try:
            with self._session.connection.transaction():
                self._session.connection.execute(
                    sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(table, parent)
                )
                # A migration may run as another role than the loaders, who drop it one day.
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
        """The name of a day, with a number behind it when something else has that name."""
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
        """Mark, detach, drop: a keeper that dies in between is recognised by the mark."""
        for schema, name in self._rows("pending_partition"):
            # Half detached, it blocks every other detach. What an operator began is only finished.
            self._detach(sql.Identifier(schema, name), "FINALIZE")
        dropped = [self._drop(name) for name in self._column("detached_tables", mark=_MARK)]
        # DETACH CONCURRENTLY is refused beside a DEFAULT partition.
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
