"""One method for each query of `workers.sql`: the workers of the site."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from console.queries.asking import Asking


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


class WorkerQueries(Asking):
    """The queries about the workers of the site."""

    def workers(self) -> list[WorkerRow]:
        """Running workers, and those that were lost within the last day."""
        return self._all("workers", WorkerRow)

    def worker_totals(self) -> list[WorkerTotals]:
        """What the workers of each role have done."""
        return [
            WorkerTotals(row.role, *map(int, row[1:]))
            for row in self._all("worker_totals", WorkerTotals)
        ]
