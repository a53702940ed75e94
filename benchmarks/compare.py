"""The standard job and the bare pipe, in turns on the same servers, into docs/performance.md.

Only the ratio of two numbers of one run means something on another machine, or on this one at
another hour: that is why they are measured in turns.

Example:
    python benchmarks/compare.py
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import click

from console.bench.drain import run_drain
from console.bench.ground import Ground, ground
from console.bench.job import Crew, Job
from console.bench.prefill import prefill
from console.bench.result import Result, machine
from console.bench.steps import steps
from runtime.settings import load_settings

_ROOT = Path(__file__).parent.parent
_PAGE = _ROOT / "docs" / "performance.md"
_TABLE = re.compile(r"(<!-- make bench begins -->\n).*?(<!-- make bench ends -->)", re.DOTALL)


@click.command()
@click.option("--repetitions", type=click.IntRange(1), default=5, show_default=True)
@click.option("--reports", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--write/--no-write", default=True, show_default=True, help="The table in the page.")
def main(repetitions: int, reports: int, write: bool) -> None:  # noqa: FBT001 (a flag)
    """Measure both in turns, print the medians as JSON, and write them into the page."""
    settings = load_settings()
    job = Job(reports=reports)
    crew = Crew(settings.loader_threads, settings.loader_chunk_size)
    drains: list[Result] = []
    bare: list[dict[str, Any]] = []
    with steps() as show, ground(settings.home / "bench", show, keep=False) as found:
        for _ in range(repetitions):
            drains.append(run_drain(found, job, crew))
            bare.append(_bare_pipe(found, job))
    ours = median(result.messages_per_second for result in drains)
    theirs = median(result["messages_per_second"] for result in bare)
    lines = _lines(drains, bare, ours=ours, theirs=theirs)
    if write:
        page = _PAGE.read_text(encoding="utf-8")
        _PAGE.write_text(_TABLE.sub(lambda m: m[1] + lines + m[2], page), encoding="utf-8")
    click.echo(
        json.dumps(
            {
                "machine": machine(),
                "repetitions": repetitions,
                "drain": [round(result.messages_per_second) for result in drains],
                "bare_pipe": [round(result["messages_per_second"]) for result in bare],
                "messages_per_second": round(ours),
                "bare_pipe_messages_per_second": round(theirs),
                "ratio": round(ours / theirs, 2),
            },
            indent=2,
        )
    )


def _bare_pipe(found: Ground, job: Job) -> dict[str, Any]:
    prefill(found, job)
    found.show("draining through the bare pipe")
    done = subprocess.run(
        [
            *(sys.executable, str(_ROOT / "benchmarks" / "bare_pipe.py")),
            *("--messages", str(job.total)),
        ],
        # Not as arguments: every user of the machine can read those.
        env={
            **os.environ,
            "STATESYS_AMQP_URL": found.servers.amqp_url,
            "STATESYS_DATABASE_URL": found.servers.database_url,
        },
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _lines(drains: list[Result], bare: list[dict[str, Any]], *, ours: float, theirs: float) -> str:
    """The table, and what it was measured on."""
    about = machine()
    cpu = {
        name: median(result.cpu[name] / result.reports * 1e6 for result in drains)
        for name in ("relay", "loader", "broker", "database")
    }
    peak = {
        name: median(result.peak[name] for result in drains) / 2**20 for name in ("relay", "loader")
    }
    plain = median(result["cpu_seconds"] / result["reports"] * 1e6 for result in bare)
    messages = drains[0].messages / drains[0].reports
    clients = median(result.clients for result in drains)
    rows = [
        ("state messages/s, statesys", f"**{ours:,.0f}**"),
        ("state messages/s, bare pipe", f"{theirs:,.0f}"),
        ("ratio", f"**{ours / theirs:.2f}**"),
        ("reports/s, statesys", f"{ours / messages:,.0f}"),
        ("= clients at 15 min", f"{clients:,.0f}"),
        *((f"CPU per report, {name}", f"{used:,.0f} µs") for name, used in cpu.items()),
        ("CPU per report, the bare pipe's own process", f"{plain:,.0f} µs"),
        *((f"peak memory, {name}", f"{used:,.0f} MiB") for name, used in peak.items()),
    ]
    table = "".join(f"| {name} | {value} |\n" for name, value in rows)
    return (
        f"Measured on {about['cores']} cores ({about['processor']}), "
        f"Python {about['python']}: {drains[0].reports:,} reports of {messages:.0f} messages, "
        f"medians of {len(drains)} runs in turns.\n\n"
        f"| | |\n|---|---:|\n{table}"
    )


if __name__ == "__main__":
    main()
