"""Results for a person: one column for each run."""

from collections.abc import Callable, Sequence

from rich.table import Table

from console.bench.measures import Percentiles
from console.bench.result import Result
from console.output import table

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
    """What the best run means."""
    return f"= {max(result.clients for result in results):,} clients at 15 min"


def _rows() -> list[tuple[str, Cell]]:
    return [
        ("loader threads", lambda r: str(r.crew.threads) if r.crew and _loads(r) else "-"),
        ("chunk size, KiB", lambda r: str(r.crew.chunk_size) if r.crew and _loads(r) else "-"),
        ("relays", lambda r: str(r.crew.relays) if r.crew and "relay" in r.cpu else "-"),
        ("loaders", lambda r: str(r.crew.loaders) if r.crew and _loads(r) else "-"),
        ("reports", lambda r: f"{r.reports:,}"),
        ("state messages", lambda r: f"{r.messages:,}"),
        ("seconds", lambda r: f"{r.seconds:.2f}"),
        ("messages/s", lambda r: f"{r.messages_per_second:,.0f}"),
        ("reports/s", lambda r: f"{r.reports_per_second:,.0f}"),
        *((f"CPU seconds, {name}", _cpu(name)) for name in _PROCESSES),
        *_percentiles("queue time", lambda r: r.queue),
        *_percentiles("total time", lambda r: r.total),
        *((f"peak memory, {name}", _peak(name)) for name in _PROCESSES),
        ("clients at 15 min", lambda r: f"{r.clients:,}"),
    ]


def _loads(result: Result) -> bool:
    return "loader" in result.cpu


def _cpu(name: str) -> Cell:
    return lambda r: f"{r.cpu[name]:.2f}" if name in r.cpu else "-"


def _peak(name: str) -> Cell:
    return lambda r: f"{r.peak[name] / _MIB:.0f} MiB" if name in r.peak else "-"


def _percentiles(label: str, of: Callable[[Result], Percentiles | None]) -> list[tuple[str, Cell]]:
    def cell(name: str) -> Cell:
        def show(result: Result) -> str:
            found = of(result)
            return "-" if found is None else f"{getattr(found, name) * 1000:,.0f} ms"

        return show

    return [(f"{label}, {name}", cell(name)) for name in Percentiles._fields]
