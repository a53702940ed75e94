"""One method for each query of `queries.sql`: values in, values out."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, LiteralString, NamedTuple, TypeVar, cast
from uuid import UUID

from console.queries.rows import (
    AccountRow,
    Arrival,
    ClientRow,
    ClosingCounts,
    CurrentRow,
    DueRow,
    HistoryRow,
    LoaderRow,
    MessageRow,
    MissingRow,
    OpenWork,
    QueueTime,
    RequestRow,
    RulesWritten,
    SiteTotals,
    StateRow,
    Totals,
)
from runtime.database import (
    IsolationLevel,
    Multirange,
    Range,
    Session,
    args_row,
    require_current_tables,
    scalar_row,
    shared_session,
    sql,
    tuple_row,
)
from runtime.rules import SiteRules
from runtime.statements import statements
from schemas.errors import SchemaMissing, StatesysError
from schemas.serials import SerialRanges

#: Bytes of tables up to which rows are counted while the user waits (about a tenth of a second).
#: Beyond, rows are estimated, and totals are those that the loaders counted last.
COUNTED_BYTES = 128 * 1024 * 1024
#: Tables from which the totals are counted.
_TOTALLED = ("client", "missing_message_range", "resync_request")
#: Messages from which the queue time is computed, and pages that hold about as many.
LATEST_MESSAGES, LATEST_PAGES = 10_000, 1_000
#: Rows fetched at a time by the streams of `verify`.
STREAM_ROWS = 10_000

Row = TypeVar("Row", bound=tuple[Any, ...])


class RowCount(NamedTuple):
    """The number of rows of a table; `exact` False means the planner's estimate."""

    rows: int
    exact: bool


class Queries:
    """The queries, over one session.

    Raises:
        DatabaseUnavailable: from every method, when PostgreSQL is away or unwell.
        SchemaMissing: from every method, when the database is not migrated.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def session(self) -> Session:
        """The session, for the queries of another module."""
        return self._session

    @classmethod
    @contextmanager
    def open(cls, url: str, *, name: str) -> Iterator["Queries"]:
        """Connect, read only; use as a context manager.

        Args:
            name: `application_name`.

        Raises:
            SettingsError: the URL cannot be used.
            SchemaMissing: the tables are not migrated to this version.
            StatesysError: a newer version made them.
        """
        # No timeouts: a console command may wait for a lock, and between two rows of a stream.
        waits = {"lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
        with shared_session(url, name, different=waits) as session, session.translated():
            require_current_tables(session)
            yield cls(session)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Inside, all queries read one snapshot of the database; the streams need it."""
        with self._session.transaction(isolation=IsolationLevel.REPEATABLE_READ) as connection:
            # The caller reads a stream to its end: plan for all rows, not for the first.
            connection.execute("SET LOCAL cursor_tuple_fraction = 1")
            # PostgreSQL takes the snapshot at the first query, which is this one.
            connection.execute("SELECT pg_current_snapshot()")
            yield

    def now(self) -> datetime:
        """The time of the database's clock."""
        found: datetime = self._scalar("now")
        return found

    def rules(self) -> SiteRules:
        """The site's rules, which all loaders follow: who is asked for a resync, and when."""
        found = self._all("rules", SiteRules)
        if not found:
            raise SchemaMissing("statesys.site has lost its row; a loader that starts writes it")
        return found[0]

    def rules_written(self) -> RulesWritten:
        """Where the site's rules come from."""
        return self._all("rules_written", RulesWritten)[0]

    def loaders(self) -> list[LoaderRow]:
        """The loaders that run."""
        return self._all("loaders", LoaderRow)

    def totals(self, *, now: datetime | None = None, rules: SiteRules | None = None) -> Totals:
        """Counts over the whole site, in one snapshot.

        Args:
            now, rules: by default the database's clock and the site's rules, as in the methods
                below.
        """
        with self.snapshot():
            return Totals(
                *self._site_totals(now, rules),
                *self._all("open_work", OpenWork)[0],
                *self._rows("current_state"),
            )

    def loaded(self) -> RowCount:
        """The number of messages in the history: counted in a small table, else estimated."""
        return self._rows("state_message")

    def queue_time(self) -> QueueTime:
        """The time from received to loaded, over the latest messages."""
        with (
            self._session.transaction() as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            newest = cursor.execute(_text("newest_partition")).fetchone()
            if newest is None:
                return QueueTime(0, None, None, None)
            schema, table, pages = newest
            query = sql.SQL(_text("queue_time")).format(partition=sql.Identifier(schema, table))
            found = cursor.execute(
                query,
                {"from_page": f"({max(pages - LATEST_PAGES, 0)},0)", "limit": LATEST_MESSAGES},
            ).fetchone()
            assert found is not None
            return QueueTime(*found)

    def client(self, client_id: UUID) -> ClientRow | None:
        """One client, None when the server does not know it."""
        found = self._all("client", ClientRow, client_id=client_id)
        return found[0]._replace(accounted=_ranges(found[0].accounted)) if found else None

    def known_client(self, client_id: UUID) -> ClientRow:
        """One client.

        Raises:
            StatesysError: the server does not know it.
        """
        found = self.client(client_id)
        if found is None:
            raise StatesysError(
                f"the server never heard of client {client_id}; it creates a client with the "
                "first report that is loaded"
            )
        return found

    def condition(
        self, client_id: UUID, *, now: datetime | None = None, rules: SiteRules | None = None
    ) -> str | None:
        """The condition of a client (see the glossary), None when the server does not know it."""
        found = self._scalars("condition", client_id=client_id, **self._view(now, rules))
        return found[0] if found else None

    def due(
        self, client_id: UUID, *, now: datetime | None = None, rules: SiteRules | None = None
    ) -> DueRow | None:
        """Whether and when a client is asked for a resync, None when there is no cause."""
        found = self._all("due", DueRow, client_id=client_id, **self._view(now, rules))
        return found[0] if found else None

    def states(self, client_id: UUID) -> list[StateRow]:
        """The current states of a client."""
        return self._all("states", StateRow, client_id=client_id)

    def missing(
        self,
        client_id: UUID | None = None,
        *,
        closed: bool = False,
        limit: int | None = None,
        now: datetime | None = None,
        rules: SiteRules | None = None,
    ) -> list[MissingRow]:
        """Missing ranges, open ones first, oldest first.

        Args:
            client_id: None means all clients.
            closed: closed ranges too.
            limit: rows at most; None means all.
        """
        chosen = {"client_id": client_id, "closed": closed, "limit": limit}
        return self._all("missing", MissingRow, **chosen, **self._view(now, rules))

    def requests(self, client_id: UUID, *, limit: int | None = None) -> list[RequestRow]:
        """Resync requests of a client, newest first."""
        return [
            row._replace(ranges=_ranges(row.ranges))
            for row in self._all("requests", RequestRow, client_id=client_id, limit=limit)
        ]

    def message(self, client_id: UUID, serial: int) -> list[MessageRow]:
        """The rows of the history with one serial of a client."""
        return self._all("message", MessageRow, client_id=client_id, serial=serial)

    def last_messages(self, client_id: UUID, *, limit: int) -> list[MessageRow]:
        """The messages of a client with the highest serials."""
        return self._all("last_messages", MessageRow, client_id=client_id, limit=limit)

    def accounts(self) -> Iterator[AccountRow]:
        """Every client with its accounted and missing serials, by client; needs `snapshot`."""
        for row in self._stream("accounts", AccountRow):
            yield row._replace(accounted=_ranges(row.accounted), missing=_ranges(row.missing))

    def histories(self) -> Iterator[HistoryRow]:
        """Every numbered message, by client and serial; needs `snapshot`."""
        return self._stream("histories", HistoryRow)

    def currents(self) -> Iterator[CurrentRow]:
        """Every current state, by client; needs `snapshot`."""
        return self._stream("currents", CurrentRow)

    def inconsistent(self) -> list[UUID]:
        """Clients whose open ranges are not [1, highest] - accounted."""
        return self._scalars("inconsistent")

    def arrival(self) -> Arrival:
        """How far the server has processed what was sent to it."""
        return self._all("arrival", Arrival)[0]

    def closing_counts(self) -> ClosingCounts:
        """What the database holds after a demo, counted row by row."""
        return self._all("closing_counts", ClosingCounts)[0]

    def _view(self, now: datetime | None, rules: SiteRules | None) -> dict[str, Any]:
        """The moment and the rules, as parameters of the functions in the database.

        They are values, not subqueries, so that PostgreSQL can inline such a function into the
        statement that calls it.
        """
        rules = rules or self.rules()
        return {
            "now": now or self.now(),
            "min_age": rules.min_missing_message_age,
            "merge_interval": rules.resync_merge_interval,
            "heartbeat_interval": rules.heartbeat_interval,
        }

    def _site_totals(self, now: datetime | None, rules: SiteRules | None) -> SiteTotals:
        if not self._small(*_TOTALLED):
            for kept in self._all("kept_totals", SiteTotals):
                return kept
        # The site is small, or its loaders have not counted yet.
        counted = self._all("counted_totals", SiteTotals, **self._view(now, rules))
        return counted[0]._replace(as_of=None)

    def _small(self, *tables: str) -> bool:
        names = [f"statesys.{table}" for table in tables]
        return bool(self._scalars("bytes", tables=names)[0] <= COUNTED_BYTES)

    def _rows(self, table: str) -> RowCount:
        exact = self._small(table)
        query = sql.SQL(_text("count" if exact else "estimate"))
        with (
            self._session.transaction() as connection,
            connection.cursor(row_factory=scalar_row) as cursor,
        ):
            of_table = query.format(table=sql.Identifier("statesys", table))
            found: Any = cursor.execute(of_table).fetchone()
        return RowCount(found if exact else int(found[0]["Plan"]["Plan Rows"]), exact)

    def _all(self, name: str, row: type[Row], **parameters: Any) -> list[Row]:
        with (
            self._session.transaction() as connection,
            connection.cursor(row_factory=args_row(row)) as cursor,
        ):
            return cursor.execute(_text(name), parameters).fetchall()

    def _scalars(self, name: str, **parameters: Any) -> list[Any]:
        with (
            self._session.transaction() as connection,
            connection.cursor(row_factory=scalar_row) as cursor,
        ):
            return cursor.execute(_text(name), parameters).fetchall()

    def _scalar(self, name: str) -> Any:
        return self._scalars(name)[0]

    def _stream(self, name: str, row: type[Row]) -> Iterator[Row]:
        with self._session.connection.cursor(name, row_factory=args_row(row)) as cursor:
            cursor.itersize = STREAM_ROWS
            yield from cursor.execute(_text(name), binary=True)


def _text(name: str) -> LiteralString:
    # The file is part of the package and constant, so it is safe as a LiteralString.
    text = statements("console.queries", "queries.sql")[name].rstrip(";")
    return cast(LiteralString, text)  # type: ignore[redundant-cast]


def _ranges(value: object) -> SerialRanges:
    """The serials of an int8multirange, whose ranges PostgreSQL writes as [lower, upper)."""
    assert isinstance(value, Multirange)
    ranges: list[Range[int]] = list(value)
    return SerialRanges(
        (r.lower, r.upper - 1) for r in ranges if r.lower is not None and r.upper is not None
    )
