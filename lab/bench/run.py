"""A stage at work: meter and workers together."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from lab.bench.job import Job, WorkerSettings
from lab.bench.measures import loaded
from lab.bench.meter import Meter
from lab.bench.result import Result
from lab.bench.testbed import Testbed
from lab.bench.workers import Workers
from schemas.errors import StatesysError


class Run(NamedTuple):
    """What a run has at hand."""

    workers: Workers
    meter: Meter

    def short_way(self) -> int:
        """Reports that the relays, still at work, have sent as canonical ones."""
        return sum(event.canonical for event in self.workers.events("relay"))

    def result(
        self,
        kind: str,
        job: Job,
        worker_settings: WorkerSettings,
        *,
        first: float,
        last: float,
        short_way: int,
    ) -> Result:
        """What the run was, between two moments (seconds since 1970)."""
        found = {role: self.meter.peak(role) for role in ("relay", "loader")}
        return Result(
            kind=kind,
            job=job,
            worker_settings=worker_settings,
            reports=job.reports,
            messages=job.total,
            short_way=short_way,
            seconds=last - first,
            cpu=self.meter.cpu(first, last),
            peak={role: peak for role, peak in found.items() if peak is not None},
        )


@contextmanager
def stage(testbed: Testbed, worker_settings: WorkerSettings) -> Iterator[Run]:
    """Watch the servers from now on; workers come as they are started, and go at the end."""
    with (
        Meter(testbed.processes) as meter,
        Workers(testbed.servers, testbed.directory, worker_settings, meter) as workers,
    ):
        yield Run(workers, meter)


def check_loaded(testbed: Testbed, job: Job, since: float) -> None:
    """A rate is worth nothing when something is missing.

    Args:
        since: when the run began (seconds since 1970); what was there before does not count.

    Raises:
        StatesysError: the history has not what was sent.
    """
    found = loaded(testbed.servers.database_url, since)
    if found != job.total:
        raise StatesysError(f"{job.total:,} state messages were sent, {found:,} are loaded")
