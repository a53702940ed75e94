"""One method for each query of `workers.sql`: the workers of the site."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from console.queries.query_session import QuerySession


class WorkerRow(NamedTuple):
    """A worker of the site; moments by the database's clock, but `started_at` by the worker's.

    Attributes:
        first_seen_at, seen_at: when its first and its newest heartbeat were stored.
        late: it is lost: not seen for a minute, and it did not tell its end. The name is the key in
            JSON.
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


class WorkerCount(NamedTuple):
    """One of the finer counts (`schemas.counts`), summed like `WorkerTotals`."""

    role: str
    name: str
    value: int


class TaskRun(NamedTuple):
    """A periodic task of the loaders, and when it was done last for the whole site."""

    name: str
    done_at: datetime


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


class InQuarantine(NamedTuple):
    """How many clients are in quarantine, and since when the first of them."""

    clients: int
    since: datetime | None


class WorkerQueries(QuerySession):
    """The queries about the workers of the site."""

    def workers(self) -> list[WorkerRow]:
        """Running workers, and those that were lost within the last day."""
        return self._all("workers", WorkerRow, now=self.now())

    def worker_totals(self) -> list[WorkerTotals]:
        """What the workers of each role have done."""
        return [
            WorkerTotals(row.role, *map(int, row[1:]))
            for row in self._all("worker_totals", WorkerTotals)
        ]

    def worker_counts(self) -> list[WorkerCount]:
        """The finer counts of the workers of each role."""
        return [
            WorkerCount(row.role, row.name, int(row.value))
            for row in self._all("worker_counts", WorkerCount)
        ]

    def in_quarantine(self) -> InQuarantine:
        """How many clients are in quarantine."""
        return self._all("in_quarantine", InQuarantine)[0]

    def task_runs(self) -> list[TaskRun]:
        """When each periodic task was done last, by name."""
        return self._all("task_runs", TaskRun)
