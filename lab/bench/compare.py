"""The standard job in all shapes and the bare pipe, alternating on the same servers.

The medians go into docs/performance.md. Absolute numbers change with the machine and the hour;
the ratio of two numbers does not, provided that both are measured alternately.

Example:
    python -m lab.bench.compare
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import click

from lab.bench.cli import cores_option
from lab.bench.job import Job, Shape, WorkerSettings
from lab.bench.meter import Meter
from lab.bench.result import Result, machine
from lab.bench.runs import prefill, run_drain
from lab.bench.testbed import Testbed, testbed
from runtime.command import settings_and_logs
from runtime.settings import environment
from runtime.workers.signals import interrupt_on_signals

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "performance.md"
_TABLE = re.compile(r"(<!-- make bench begins -->\n).*?(<!-- make bench ends -->)", re.DOTALL)
_BARE = "bare pipe"


@click.command()
@click.option("--repetitions", type=click.IntRange(1), default=5, show_default=True)
@click.option("--reports", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--write/--no-write", default=True, show_default=True, help="The table in the page.")
@cores_option(2)
def main(repetitions: int, reports: int, write: bool) -> None:  # noqa: FBT001 (a flag)
    """Measure all alternately, print the medians as JSON, and write them into the page."""
    settings = settings_and_logs()
    interrupt_on_signals()
    job = Job(reports=reports)
    worker_settings = WorkerSettings(settings.threads, settings.loader_chunk_size)
    drains: dict[str, list[Result]] = {shape.value: [] for shape in Shape}
    bare: list[Result] = []
    with testbed(settings.home / "bench", keep=False, nodes=1) as found:
        for _ in range(repetitions):
            for shape in Shape:
                drains[shape].append(run_drain(found, replace(job, shape=shape), worker_settings))
            bare.append(_bare_pipe(found, job))
    columns = {**drains, _BARE: bare}
    if write:
        page = _PAGE.read_text(encoding="utf-8")
        lines = _lines(columns)
        _PAGE.write_text(_TABLE.sub(lambda m: m[1] + lines + m[2], page), encoding="utf-8")
    rates = {name: _rate(runs) for name, runs in columns.items()}
    data = {
        "machine": machine(),
        "messages_per_second": {name: round(rate) for name, rate in rates.items()},
        "ratio": {shape: round(rates[shape] / rates[_BARE], 2) for shape in drains},
        "runs": {name: [run.as_data() for run in runs] for name, runs in columns.items()},
    }
    click.echo(json.dumps(data, indent=2))


def _bare_pipe(found: Testbed, job: Job) -> Result:
    prefill(found, job)
    found.show("draining through the bare pipe")
    with Meter(found.processes) as meter:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "lab.bench.bare_pipe"),
                *("--reports", str(job.reports)),
            ],
            env=environment(
                amqp_url=found.servers.amqp_url, database_url=found.servers.database_url
            ),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
    data: dict[str, Any] = json.loads(done.stdout)
    began, ended = data["began"], data["ended"]
    return Result(
        kind=_BARE,
        job=job,
        reports=job.reports,
        messages=data["messages"],
        seconds=ended - began,
        cpu={_BARE: data["cpu_seconds"], **meter.cpu(began, ended)},
        peak={},
    )


def _rate(runs: Sequence[Result]) -> float:
    """The median of the runs, in state messages a second."""
    return median(run.messages_per_second for run in runs)


def _lines(columns: dict[str, list[Result]]) -> str:
    """Format the table, headed by the machine that it was measured on."""
    bare, about = columns[_BARE], machine()
    theirs = _rate(bare)

    def row(label: str, of: Callable[[Result], float | None], form: str = "{:,.0f}") -> str:
        cells = []
        for runs in columns.values():
            known = [value for run in runs if (value := of(run)) is not None]
            cells.append(form.format(median(known)) if known else "")
        return f"| {label} | {' | '.join(cells)} |\n"

    def cpu(name: str) -> Callable[[Result], float | None]:
        return lambda r: r.cpu_per_report.get(name)

    def peak(name: str) -> Callable[[Result], float | None]:
        return lambda r: r.peak[name] / 2**20 if name in r.peak else None

    processes = ("relay", "loader", _BARE, "broker", "database", "sum")
    rows = (
        row("state messages/s", lambda r: r.messages_per_second, "**{:,.0f}**"),
        row("ratio to the bare pipe", lambda r: r.messages_per_second / theirs, "{:.2f}"),
        row("reports/s", lambda r: r.reports_per_second),
        row("= clients at 15 min", lambda r: r.clients),
        row("reports that took the fast path", lambda r: r.fast_path),
        row("reports for the full reader", lambda r: r.full_reader),
        *(row(f"CPU per report, {name}", cpu(name), "{:,.0f} µs") for name in processes),
        *(row(f"peak memory, {name}", peak(name), "{:,.0f} MiB") for name in ("relay", "loader")),
    )
    return (
        f"Measured on {bare[0].cores} cores ({about['processor']}), Python {about['python']}, "
        f"{time.strftime('%B %Y')}: {bare[0].reports:,} reports, "
        f"medians of {len(bare)} runs in turns.\n\n"
        f"| | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}\n{''.join(rows)}"
    )


if __name__ == "__main__":
    main()
