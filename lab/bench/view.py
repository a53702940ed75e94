"""Results for a person: one column for each run."""

from collections.abc import Callable, Sequence

from rich.table import Table

from console.output import table
from lab.bench.drop import Disturbance, Stall
from lab.bench.job import Existing
from lab.bench.measures import Percentiles
from lab.bench.result import Result

_MIB = 1024 * 1024
#: Processes in the order of the flow.
_PROCESSES = ("producers", "relay", "loader", "broker", "database")

Cell = Callable[[Result], str]


def results_table(results: Sequence[Result]) -> Table:
    """All runs side by side; lines that say nothing in any of them are left out."""
    rows = [(label, [cell(result) for result in results]) for label, cell in _rows()]
    shown = [(label, *cells) for label, cells in rows if any(cell != "-" for cell in cells)]
    columns = [results[0].kind, *(f"run {number}" for number in range(1, len(results) + 1))]
    return table(columns, shown, right=columns[1:])


def last_line(results: Sequence[Result]) -> str:
    """What the best run of each shape means: they are told together."""
    best: dict[str, int] = {}
    for result in results:
        best[result.job.shape] = max(result.clients, best.get(result.job.shape, 0))
    shapes = ", ".join(f"{clients:,} ({shape})" for shape, clients in best.items())
    return f"= {shapes} clients at 15 min"


def _rows() -> list[tuple[str, Cell]]:
    return [
        ("shape of the reports", lambda r: r.job.shape.value),
        ("cores", lambda r: str(r.cores)),
        (
            "loader threads",
            lambda r: str(r.worker_settings.threads) if r.worker_settings and _loads(r) else "-",
        ),
        (
            "chunk size, KiB",
            lambda r: str(r.worker_settings.chunk_size) if r.worker_settings and _loads(r) else "-",
        ),
        (
            "relays",
            lambda r: (
                str(r.worker_settings.relays) if r.worker_settings and "relay" in r.cpu else "-"
            ),
        ),
        (
            "loaders",
            lambda r: str(r.worker_settings.loaders) if r.worker_settings and _loads(r) else "-",
        ),
        ("clients before", _before(lambda existing: existing.clients)),
        ("state messages before", _before(lambda existing: existing.messages)),
        ("reports", lambda r: f"{r.reports:,}"),
        ("which went the short way", _count(lambda r: r.short_way)),
        ("which went the long way", _count(lambda r: r.long_way)),
        ("state messages", lambda r: f"{r.messages:,}"),
        ("seconds", lambda r: f"{r.seconds:.2f}"),
        ("messages/s", lambda r: f"{r.messages_per_second:,.0f}"),
        ("reports/s", lambda r: f"{r.reports_per_second:,.0f}"),
        *((f"CPU seconds, {name}", _cpu(name)) for name in _PROCESSES),
        *((f"CPU per report, {name}", _cpu_per_report(name)) for name in (*_PROCESSES, "sum")),
        *_percentiles("queue time", lambda r: r.queue),
        *_percentiles("total time", lambda r: r.total),
        *_drop(),
        *((f"peak memory, {name}", _peak(name)) for name in _PROCESSES),
        ("clients at 15 min", lambda r: f"{r.clients:,}"),
    ]


def _loads(result: Result) -> bool:
    return "loader" in result.cpu


def _before(count: Callable[[Existing], int]) -> Cell:
    return lambda r: f"{count(r.job.existing):,}" if r.job.existing.messages else "-"


def _count(of: Callable[[Result], int | None]) -> Cell:
    return lambda r: "-" if (found := of(r)) is None else f"{found:,}"


def _drop() -> list[tuple[str, Cell]]:
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
