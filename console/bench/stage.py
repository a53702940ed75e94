"""A stage at work: meter and workers together."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from console.bench.ground import Ground
from console.bench.job import Crew, Job
from console.bench.measures import loaded
from console.bench.meter import Meter
from console.bench.result import Result
from console.bench.workers import Workers
from schemas.errors import StatesysError


class Stage(NamedTuple):
    """What a run has at hand."""

    workers: Workers
    meter: Meter

    def short_way(self) -> int:
        """Reports that the relays, still at work, have sent as canonical ones."""
        return sum(event.canonical for event in self.workers.events("relay"))

    def result(
        self, kind: str, job: Job, crew: Crew, *, first: float, last: float, short_way: int
    ) -> Result:
        """What the run was, between two moments (seconds since 1970)."""
        found = {role: self.meter.peak(role) for role in ("relay", "loader")}
        return Result(
            kind=kind,
            job=job,
            crew=crew,
            reports=job.reports,
            messages=job.total,
            short_way=short_way,
            seconds=last - first,
            cpu=self.meter.cpu(first, last),
            peak={role: peak for role, peak in found.items() if peak is not None},
        )


@contextmanager
def stage(ground: Ground, crew: Crew) -> Iterator[Stage]:
    """Watch the servers from now on; workers come as they are started, and go at the end."""
    with (
        Meter(ground.processes) as meter,
        Workers(ground.servers, ground.directory, crew, meter) as workers,
    ):
        yield Stage(workers, meter)


def check_loaded(ground: Ground, job: Job, since: float) -> None:
    """A rate is worth nothing when something is missing.

    Args:
        since: when the run began (seconds since 1970); what was there before does not count.

    Raises:
        StatesysError: the history has not what was sent.
    """
    found = loaded(ground.servers.database_url, since)
    if found != job.total:
        raise StatesysError(f"{job.total:,} state messages were sent, {found:,} are loaded")
