"""One method for each query of `queries.sql`: values in, values out."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from console.queries.audit import AuditQueries
from console.queries.clients import ClientQueries
from console.queries.history import HistoryQueries
from console.queries.messages import MessageQueries
from console.queries.missing import MissingQueries
from console.queries.one_client import OneClientQueries
from console.queries.query_session import named_text
from console.queries.resyncs import ResyncQueries
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
    QueueTime,
    RequestRow,
    RulesWritten,
    StateRow,
    Totals,
)
from console.queries.why import WhyQueries
from console.queries.workers import WorkerQueries
from runtime.database import Multirange, Range, sql
from runtime.options import GivenClient
from schemas.errors import StatesysError
from schemas.serials import SerialRanges

#: Tables from which the totals are counted.
_TOTALLED = ("client", "missing_message_range", "resync_request")
#: Messages from which the queue time is computed, and pages that hold about as many.
LATEST_MESSAGES, LATEST_PAGES = 10_000, 1_000
#: Messages from which is computed up to when the site has loaded. It is of this moment, so fewer.
_FRONT_MESSAGES = 1_000


class RowCount(NamedTuple):
    """The number of rows of a table; `exact` False means the planner's estimate."""

    rows: int
    exact: bool


class Queries(
    ClientQueries,
    OneClientQueries,
    WhyQueries,
    HistoryQueries,
    MessageQueries,
    MissingQueries,
    ResyncQueries,
    WorkerQueries,
    AuditQueries,
):
    """The queries, over one session.

    Raises:
        DatabaseUnavailable: from every method, when PostgreSQL is away or unwell.
        SchemaMissing: from every method, when the database is not migrated.
    """

    def rules_written(self) -> RulesWritten:
        """Where the site's rules come from."""
        return self._all("rules_written", RulesWritten)[0]

    def loaders(self) -> list[LoaderRow]:
        """The loaders that run."""
        return self._all("loaders", LoaderRow, now=self.now())

    def totals(self, *, now: datetime | None = None) -> Totals:
        """Counts over the whole site, in one snapshot.

        Args:
            now: by default the database's clock, as in the methods below.
        """
        with self.snapshot():
            # The site is small, or its loaders have not counted yet: count now.
            kept = None if self._small(*_TOTALLED) else self._first("kept_totals")
            counts = kept or self._first("counted_totals", **self._view(now))
            return Totals(*(*counts, *self._first("open_work"), *self._rows("current_state")))

    def oldest_missing(self) -> datetime | None:
        """When the oldest open missing range was detected; None without one."""
        found: datetime | None = self._scalars("oldest_missing")[0]
        return found

    def loaded(self) -> RowCount:
        """The number of messages in the history: counted in a small table, else estimated."""
        return self._rows("state_message")

    def queue_time(self) -> QueueTime:
        """The time from received to loaded, over the latest messages."""
        found = self._of_latest("queue_time", LATEST_MESSAGES)
        return QueueTime(0, None, None, None) if found is None else QueueTime(*found)

    def front(self) -> datetime | None:
        """Up to when the site has loaded what was sent to it; None when nothing was loaded."""
        found = self._of_latest("front", _FRONT_MESSAGES)
        return None if found is None else found[0]

    def client(self, client_id: UUID) -> ClientRow | None:
        """One client, None when the server does not know it."""
        found = self._all("client", ClientRow, client_id=client_id)
        return found[0]._replace(accounted=_ranges(found[0].accounted)) if found else None

    def known(self, given: GivenClient) -> ClientRow:
        """The client that a person means; errors also as in `client_id_of`.

        Raises:
            StatesysError: the server does not know it.
        """
        client_id = self.client_id_of(given)
        found = self.client(client_id)
        if found is None:
            raise StatesysError(
                f"the server never heard of client {client_id}; it creates a client with the "
                "first report that is loaded"
            )
        return found

    def condition(self, client_id: UUID, *, now: datetime | None = None) -> str | None:
        """The condition of a client (see the glossary), None when the server does not know it."""
        found = self._scalars("condition", client_id=client_id, **self._view(now))
        return found[0] if found else None

    def due(self, client_id: UUID, *, now: datetime | None = None) -> DueRow | None:
        """Whether and when a client is asked for a resync, None when there is no cause."""
        found = self._all("due", DueRow, client_id=client_id, **self._view(now))
        return found[0] if found else None

    def states(self, client_id: UUID) -> list[StateRow]:
        """The current states of a client."""
        return self._all("states", StateRow, client_id=client_id)

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

    def _of_latest(self, name: str, messages: int) -> tuple[Any, ...] | None:
        """The row of a statement over the latest messages, None when there are none."""
        with self._session.transaction() as connection:
            newest = connection.execute(named_text("newest_partition")).fetchone()
            if newest is None:
                return None
            schema, table, pages = newest
            query = sql.SQL(named_text(name)).format(partition=sql.Identifier(schema, table))
            first = max(pages - LATEST_PAGES, 0)
            found: tuple[Any, ...] | None = connection.execute(
                query, {"from_page": f"({first},0)", "limit": messages}
            ).fetchone()
            return found

    def _rows(self, table: str) -> RowCount:
        exact = self._small(table)
        query = sql.SQL(named_text("count" if exact else "estimate"))
        with self._session.transaction() as connection:
            of_table = query.format(table=sql.Identifier("statesys", table))
            ((found,),) = connection.execute(of_table).fetchall()
        return RowCount(found if exact else int(found[0]["Plan"]["Plan Rows"]), exact)


def _ranges(value: object) -> SerialRanges:
    """The serials of an int8multirange, whose ranges PostgreSQL writes as [lower, upper)."""
    assert isinstance(value, Multirange)
    ranges: list[Range[int]] = list(value)
    return SerialRanges(
        (r.lower, r.upper - 1) for r in ranges if r.lower is not None and r.upper is not None
    )
