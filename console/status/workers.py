"""Shows the workers of the site to a person."""

from datetime import datetime, timedelta

from rich.console import Console
from rich.text import Text

from console.output import age, counted, table
from console.queries.workers import WorkerRow, WorkerTotals
from console.status.gather import DatabaseStatus

#: Workers in the table; `--json` has all.
_MOST = 50
_COLUMNS = ("worker", "process", "version", "since", "last seen", "messages/s", "messages", "dead")
_NUMBERS = ("messages/s", "messages", "dead")


def show_workers(half: DatabaseStatus, now: datetime, console: Console) -> None:
    """Print the workers, lost ones first, and what all workers of each role have done.

    Args:
        now: aware.
    """
    if not half.worker_totals:
        return
    workers = sorted(half.workers, key=lambda worker: not worker.late)
    rows = [_row(worker, now) for worker in workers[:_MOST]]
    console.print()
    console.print(table(_COLUMNS, rows, title="workers", right=_NUMBERS))
    if len(workers) > _MOST:
        console.print(Text(f"and {len(workers) - _MOST} more (--json shows all)"))
    for totals in half.worker_totals:
        console.print(Text(totals_words(totals)))


def _row(worker: WorkerRow, now: datetime) -> tuple[object, ...]:
    seen = f"{age(max(now - worker.seen_at, timedelta(0)))} ago"
    return (
        worker.role,
        f"{worker.host}:{worker.pid}",
        worker.version,
        worker.first_seen_at,
        Text(f"{seen}, lost", style="yellow") if worker.late else seen,
        "-" if worker.late else _rate(worker.messages_per_second),
        worker.messages,
        worker.refused,
    )


def _rate(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:,.1f}"


def totals_words(totals: WorkerTotals) -> str:
    """What all workers of a role have done, in words."""
    made = (
        f"{totals.reports:,} reports in {totals.batches:,} batches"
        if totals.role == "relay"
        else f"{totals.chunks:,} chunks"
    )
    quarantined = f", {totals.quarantined:,} of them quarantined" if totals.quarantined else ""
    return (
        f"{totals.role}s since the first ({counted(totals.workers, 'run')}): {made}, "
        f"{totals.messages:,} messages, {counted(totals.refused, 'dead letter')}{quarantined}"
    )
