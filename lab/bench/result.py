"""What a run came to."""

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lab.bench.drop import Disturbance
from lab.bench.job import Job, WorkerSettings
from lab.bench.measures import Percentiles

#: Seconds of a client's forward cycle: one report in each.
CYCLE = 900


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run.

    Attributes:
        kind: the subcommand.
        worker_settings: None where no worker of it took part.
        reports, messages: that were carried.
        short_way: reports of these that relay and loader read as canonical ones; None where
            neither took part.
        seconds: from the first delivery to the last commit or confirm.
        cpu: seconds by process: relay, loader, broker, database, producers.
        peak: bytes of memory by process.
        queue: received to loaded; None where nothing was loaded, or the wait was of the bench's
            own making.
        total: from the moment a report was due to loaded; only at a constant rate.
        disturbance: a partition was dropped meanwhile.
        cores: processors that servers and workers had.
    """

    kind: str
    job: Job
    worker_settings: WorkerSettings | None = None
    reports: int
    messages: int
    seconds: float
    cpu: dict[str, float]
    peak: dict[str, int]
    queue: Percentiles | None = None
    total: Percentiles | None = None
    disturbance: Disturbance | None = None
    short_way: int | None = None
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))

    @property
    def messages_per_second(self) -> float:
        """The rate that counts."""
        return self.messages / self.seconds

    @property
    def reports_per_second(self) -> float:
        """The same in reports."""
        return self.reports / self.seconds

    @property
    def long_way(self) -> int | None:
        """Reports that were parsed as XML; None as of `short_way`."""
        return None if self.short_way is None else self.reports - self.short_way

    @property
    def cpu_per_report(self) -> dict[str, float]:
        """Microseconds of CPU by process, and `sum`: full processors carry 1 s / sum reports."""
        each = {name: seconds / self.reports * 1e6 for name, seconds in self.cpu.items()}
        return {**each, "sum": sum(each.values())}

    @property
    def clients(self) -> int:
        """How many clients this is, at one report in 15 minutes."""
        return round(self.reports_per_second * CYCLE)

    def as_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kind": self.kind,
            "cores": self.cores,
            "shape": self.job.shape.value,
            "short_way": self.short_way,
            "long_way": self.long_way,
            "crew": None if self.worker_settings is None else self.worker_settings._asdict(),
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
            "cpu_us_per_report": {name: round(us, 1) for name, us in self.cpu_per_report.items()},
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
