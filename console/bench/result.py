"""What a run came to."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from console.bench.drop import Disturbance
from console.bench.job import Crew, Job
from console.bench.measures import Percentiles

#: Seconds of a client's forward cycle: one report in each.
CYCLE = 900


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run.

    Attributes:
        kind: the subcommand.
        crew: None where no worker of it took part.
        reports, messages: that were carried.
        seconds: from the first delivery to the last commit or confirm.
        cpu: seconds by process: relay, loader, broker, database, producers.
        peak: bytes of memory by process.
        queue: received to loaded; None where nothing was loaded, or the wait was of the bench's
            own making.
        total: from the moment a report was due to loaded; only at a constant rate.
        disturbance: a partition was dropped meanwhile.
    """

    kind: str
    job: Job
    crew: Crew | None = None
    reports: int
    messages: int
    seconds: float
    cpu: dict[str, float]
    peak: dict[str, int]
    queue: Percentiles | None = None
    total: Percentiles | None = None
    disturbance: Disturbance | None = None

    @property
    def messages_per_second(self) -> float:
        """The rate that counts."""
        return self.messages / self.seconds

    @property
    def reports_per_second(self) -> float:
        """The same in reports."""
        return self.reports / self.seconds

    @property
    def clients(self) -> int:
        """How many clients this is, at one report in 15 minutes."""
        return round(self.reports_per_second * CYCLE)

    def as_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kind": self.kind,
            "crew": None if self.crew is None else self.crew._asdict(),
            "existing": {
                "clients": self.job.existing.clients,
                "messages": self.job.existing.messages,
                "days": self.job.existing.days,
            },
            "reports": self.reports,
            "messages": self.messages,
            "seconds": round(self.seconds, 3),
            "messages_per_second": round(self.messages_per_second, 1),
            "reports_per_second": round(self.reports_per_second, 1),
            "clients_at_15_min": self.clients,
            "cpu_seconds": self.cpu,
            "peak_bytes": self.peak,
            "queue_seconds": None if self.queue is None else self.queue._asdict(),
            "total_seconds": None if self.total is None else self.total._asdict(),
            "drop": None if self.disturbance is None else _drop(self.disturbance),
        }


def _drop(found: Disturbance) -> dict[str, Any]:
    return {
        "partitions": found.drop.partitions,
        "tries": found.drop.tries,
        "seconds": round(found.drop.ended - found.drop.began, 3),
        "reader_seconds": round(found.drop.read, 3),
        "loaded_until_the_end": found.complete,
        "before": found.before._asdict(),
        "during": found.during._asdict(),
        "warnings_and_errors": found.troubles,
    }


def machine() -> dict[str, Any]:
    """The machine that it was measured on, as far as it matters."""
    return {
        "cores": psutil.cpu_count() or 1,
        "memory_bytes": psutil.virtual_memory().total,
        "processor": _processor(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
