"""One method for each query of `workers.sql`: the workers of the site."""

from datetime import datetime
from typing import LiteralString, NamedTuple, cast
from uuid import UUID

from console.queries.queries import Queries, Row
from runtime.database import args_row
from runtime.statements import statements


class WorkerRow(NamedTuple):
    """A worker of the site; moments by the database's clock, but `started_at` by the worker's.

    Attributes:
        first_seen_at, seen_at: when its first and its newest heartbeat were stored.
        late: not seen for a minute.
        reports_per_second, messages_per_second: between its two newest heartbeats.
        reports to quarantined: as in `schemas.workers.Counters`.
        settings: what it was started with, as text by name.
    """

    worker_id: UUID
    role: str
    host: str
    pid: int
    version: str
    started_at: datetime
    first_seen_at: datetime
    seen_at: datetime
    late: bool
    reports_per_second: float | None
    messages_per_second: float | None
    reports: int
    batches: int
    chunks: int
    messages: int
    refused: int
    quarantined: int
    settings: dict[str, str]


class WorkerTotals(NamedTuple):
    """Sums over all workers of a role that there ever were; they never fall."""

    role: str
    workers: int
    reports: int
    batches: int
    chunks: int
    messages: int
    refused: int
    quarantined: int


class WorkerQueries:
    """The queries, over the session of `Queries`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def workers(self) -> list[WorkerRow]:
        """Workers at work, and those that were lost within the last day."""
        return self._all("workers", WorkerRow)

    def totals(self) -> list[WorkerTotals]:
        """What the workers of each role have done."""
        return [
            WorkerTotals(row.role, *map(int, row[1:]))
            for row in self._all("worker_totals", WorkerTotals)
        ]

    def _all(self, name: str, row: type[Row]) -> list[Row]:
        # The file is part of the package and constant, so it is safe as a LiteralString.
        text = statements("console.queries", "workers.sql")[name].rstrip(";")
        with (
            self._queries.session.transaction() as connection,
            connection.cursor(row_factory=args_row(row)) as cursor,
        ):
            return cursor.execute(cast(LiteralString, text)).fetchall()  # type: ignore[redundant-cast]
