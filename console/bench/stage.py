"""A stage at work: meter and workers together."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from console.bench.ground import Ground
from console.bench.job import Crew, Job
from console.bench.measures import loaded
from console.bench.meter import Meter
from console.bench.workers import Workers
from schemas.errors import StatesysError


class Stage(NamedTuple):
    """What a run has at hand."""

    workers: Workers
    meter: Meter

    def peak(self) -> dict[str, int]:
        """Peak memory of relay and loader, in bytes."""
        found = {role: self.meter.peak(role) for role in ("relay", "loader")}
        return {role: peak for role, peak in found.items() if peak is not None}

    def short_way(self) -> int:
        """Reports that the relays, still at work, have sent as canonical ones."""
        return sum(event.canonical for event in self.workers.events("relay"))


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
