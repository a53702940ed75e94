"""The result of a run, and how it is shown."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from console.output import table
from lab.bench.drop import Disturbance, Stall
from lab.bench.job import Existing, Job, WorkerSettings
from lab.bench.tables import Percentiles

#: Seconds of a client's forward cycle: one report in each.
CYCLE = 900


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run.

    Attributes:
        kind: the subcommand.
        worker_settings: None where the run had no workers.
        reports, messages: how many went through.
        fast_path: reports that relay and loader read by the fast path; None where neither took
            part.
        seconds: from the first delivery to the last commit or confirm.
        cpu: seconds by process: relay, loader, broker, database, producers.
        peak: bytes of memory by process.
        queue: from received to loaded; None where nothing was loaded, or the bench itself caused
            the wait.
        total: from the moment a report was due to loaded; only at a constant rate.
        disturbance: the effect of a partition dropped during the run.
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
    fast_path: int | None = None
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))

    @property
    def messages_per_second(self) -> float:
        """State messages a second, the main result."""
        return self.messages / self.seconds

    @property
    def reports_per_second(self) -> float:
        """Reports a second."""
        return self.reports / self.seconds

    @property
    def full_reader(self) -> int | None:
        """Reports that took the full reader; None where `fast_path` is."""
        return None if self.fast_path is None else self.reports - self.fast_path

    @property
    def cpu_per_report(self) -> dict[str, float]:
        """Microseconds of CPU by process, and `sum`: a busy core handles 1 s / sum reports."""
        each = {name: seconds / self.reports * 1e6 for name, seconds in self.cpu.items()}
        return {**each, "sum": sum(each.values())}

    @property
    def clients(self) -> int:
        """How many clients send this many reports, at one report in 15 minutes."""
        return round(self.reports_per_second * CYCLE)

    def as_data(self) -> dict[str, Any]:
        """The output of `--json`."""
        return {
            "kind": self.kind,
            "cores": self.cores,
            "shape": self.job.shape.value,
            "fast_path": self.fast_path,
            "full_reader": self.full_reader,
            "workers": None if self.worker_settings is None else self.worker_settings._asdict(),
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
    """Describe this machine, as far as it matters for the result."""
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


_MIB = 1024 * 1024
#: Processes in the order in which a report meets them.
_PROCESSES = ("producers", "relay", "loader", "broker", "database")

Cell = Callable[[Result], str]


def results_table(results: Sequence[Result]) -> Table:
    """All runs side by side; a line without a value in any run is left out."""
    rows = [(label, [cell(result) for result in results]) for label, cell in _rows()]
    shown = [(label, *cells) for label, cells in rows if any(cell != "-" for cell in cells)]
    columns = [results[0].kind, *(f"run {number}" for number in range(1, len(results) + 1))]
    return table(columns, shown, right=columns[1:])


def last_line(results: Sequence[Result]) -> str:
    """The best run of each shape, in clients, as one line."""
    best: dict[str, int] = {}
    for result in results:
        best[result.job.shape] = max(result.clients, best.get(result.job.shape, 0))
    shapes = ", ".join(f"{clients:,} ({shape})" for shape, clients in best.items())
    return f"= {shapes} clients at 15 min"


def _rows() -> list[tuple[str, Cell]]:
    return [
        ("shape of the reports", lambda r: r.job.shape.value),
        ("cores", lambda r: str(r.cores)),
        ("loader threads", _of_workers("loader", lambda workers: workers.threads)),
        ("chunk size, KiB", _of_workers("loader", lambda workers: workers.chunk_size)),
        ("relays", _of_workers("relay", lambda workers: workers.relays)),
        ("loaders", _of_workers("loader", lambda workers: workers.loaders)),
        ("clients before", _before(lambda existing: existing.clients)),
        ("state messages before", _before(lambda existing: existing.messages)),
        ("reports", lambda r: f"{r.reports:,}"),
        ("which took the fast path", _count(lambda r: r.fast_path)),
        ("for the full reader", _count(lambda r: r.full_reader)),
        ("state messages", lambda r: f"{r.messages:,}"),
        ("seconds", lambda r: f"{r.seconds:.2f}"),
        ("messages/s", lambda r: f"{r.messages_per_second:,.0f}"),
        ("reports/s", lambda r: f"{r.reports_per_second:,.0f}"),
        *((f"CPU seconds, {name}", _cpu(name)) for name in _PROCESSES),
        *((f"CPU per report, {name}", _cpu_per_report(name)) for name in (*_PROCESSES, "sum")),
        *_percentiles("queue time", lambda r: r.queue),
        *_percentiles("total time", lambda r: r.total),
        *_drop_lines(),
        *((f"peak memory, {name}", _peak(name)) for name in _PROCESSES),
        ("clients at 15 min", lambda r: f"{r.clients:,}"),
    ]


def _of_workers(role: str, of: Callable[[WorkerSettings], int]) -> Cell:
    """A setting of the workers, in runs that had workers of this role."""
    return lambda r: str(of(r.worker_settings)) if r.worker_settings and role in r.cpu else "-"


def _before(count: Callable[[Existing], int]) -> Cell:
    return lambda r: f"{count(r.job.existing):,}" if r.job.existing.messages else "-"


def _count(of: Callable[[Result], int | None]) -> Cell:
    return lambda r: "-" if (found := of(r)) is None else f"{found:,}"


def _drop_lines() -> list[tuple[str, Cell]]:
    def shown(label: str, of: Callable[[Disturbance], str]) -> tuple[str, Cell]:
        return label, lambda r: "-" if r.disturbance is None else of(r.disturbance)

    def worst(label: str, of: Callable[[Stall], float | None]) -> list[tuple[str, Cell]]:
        return [
            shown(f"{label}, before the drop", lambda d: _milliseconds(of(d.before))),
            shown(f"{label}, during it", lambda d: _milliseconds(of(d.during))),
        ]

    return [
        shown("dropped", lambda d: ", ".join(d.drop.partitions) or "nothing"),
        shown("tries to drop it", lambda d: str(d.drop.tries)),
        shown("seconds until it was gone", lambda d: f"{d.drop.ended - d.drop.began:.2f}"),
        shown("of these with the reader", lambda d: f"{d.drop.read:.2f}"),
        shown("loaded until then", lambda d: "yes" if d.complete else "no: take more --seconds"),
        *worst("longest gap of commits", lambda stall: stall.gap),
        *worst("longest chunk", lambda stall: stall.chunk),
        shown("warnings and errors", lambda d: str(d.troubles)),
    ]


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.0f} ms"


def _cpu(name: str) -> Cell:
    return lambda r: f"{r.cpu[name]:.2f}" if name in r.cpu else "-"


def _cpu_per_report(name: str) -> Cell:
    return lambda r: f"{r.cpu_per_report[name]:,.0f} µs" if name in r.cpu_per_report else "-"


def _peak(name: str) -> Cell:
    return lambda r: f"{r.peak[name] / _MIB:.0f} MiB" if name in r.peak else "-"


def _percentiles(label: str, of: Callable[[Result], Percentiles | None]) -> list[tuple[str, Cell]]:
    def cell(name: str) -> Cell:
        def show(result: Result) -> str:
            found = of(result)
            return _milliseconds(None if found is None else getattr(found, name))

        return show

    return [(f"{label}, {name}", cell(name)) for name in Percentiles._fields]
