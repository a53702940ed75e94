"""Try hundreds of thousands of hostile inputs: `python -m tests.fuzz.run`.

It prints one line of progress on a terminal, and a summary at the end. The exit code is 1 when an
input broke a law, the memory of a process grew, or an input took too long. Inputs that broke a law
are saved.
"""

import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import click

from loader.migrations import migrate
from runtime import devserver
from runtime.workers.signals import interrupt_on_signals
from schemas.report import MAX_REPORT_BYTES
from tests.fuzz.blocks import Failure, Tried, try_block
from tests.fuzz.documents import NEIGHBOURS
from tests.fuzz.largest import SHAPES, Measured, measure
from tests.fuzz.laws import KINDS, made
from tests.support.world import open_tables

#: Bytes that a process may hold at the end beyond what it held after a fifth of the inputs. A heap
#: always varies a little; a leak of a hundred bytes an input exceeds this bound.
MAX_GROWTH = 16 * 1024 * 1024
#: CPU seconds of one input.
MAX_SECONDS = 5.0
_WARM = 0.2
_KEPT = Path("fuzz-failures")


@click.command()
@click.option("--reports", type=click.IntRange(0), default=100_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), help="Decides the inputs [default: the clock].")
@click.option("--jobs", type=click.IntRange(1), default=4, show_default=True, help="Processes.")
@click.option("--largest/--no-largest", default=True, help="Also inputs of the largest size.")
@click.option("--only", metavar="KIND:NUMBER", help="One input of the seed, with its traceback.")
def fuzz(*, reports: int, seed: int | None, jobs: int, largest: bool, only: str | None) -> None:
    """Mutate reports, batches and requests, and hold what comes of them against the laws."""
    seed = time.time_ns() % 1_000_000 if seed is None else seed
    if only is not None:
        _again(seed, only)
        return
    interrupt_on_signals()
    bad = False
    if reports:
        directory = Path(tempfile.mkdtemp(prefix="statesys-fuzz-"))
        click.echo(f"seed {seed}, {reports:,} reports, {jobs} processes", err=True)
        try:
            url = devserver.up(directory).database_url
            migrate(url)
            bad |= _many(reports, seed, jobs, url)
        finally:
            devserver.down(directory, purge=True)
            shutil.rmtree(directory, ignore_errors=True)
    if largest:
        bad |= _largest(jobs)
    sys.exit(1 if bad else 0)


def _again(seed: int, only: str) -> None:
    kind, _, number = only.partition(":")
    if kind not in KINDS or not number.isdecimal():
        raise click.UsageError(f"--only is one of {', '.join(KINDS)}, a colon and a number")
    body = made(kind, seed, int(number))
    click.echo(body[:2000])
    try:
        outcome = KINDS[kind].law(body)
    except Exception:  # noqa: BLE001 (any exception is a finding)
        click.echo(traceback.format_exc(), err=True)
        sys.exit(1)
    click.echo(f"{len(body)} bytes: {outcome.reason or 'read'}")


def _many(reports: int, seed: int, jobs: int, url: str) -> bool:
    started, done = time.monotonic(), 0
    outcomes: Counter[tuple[str, str]] = Counter()
    failures: list[Failure] = []
    stored, slowest = 0, (0.0, "", 0)
    memory: dict[int, list[int]] = {}
    for tried in _blocks(reports, seed, jobs, url):
        outcomes += tried.outcomes
        failures += tried.failures
        stored += tried.stored
        slowest = max(slowest, tried.slowest)
        memory.setdefault(tried.process, []).append(tried.resident)
        done += sum(count for (kind, _), count in tried.outcomes.items() if kind == "report")
        if sys.stderr.isatty():
            click.echo(f"\r{done:,} of {reports:,}, {len(failures)} bad", err=True, nl=False)
    if sys.stderr.isatty():
        click.echo("", err=True)
    for failure in failures:
        _keep(seed, failure)
    for (kind, outcome), count in sorted(outcomes.items()):
        click.echo(f"{kind:<8} {outcome:<17} {count:>9,}")
    growth = max((_growth(seen) for seen in memory.values()), default=0)
    with open_tables(url) as tables:
        ledger = tables.ledger_errors()
    click.echo(
        f"seed {seed}: {sum(outcomes.values()):,} inputs in {time.monotonic() - started:.0f} s, "
        f"{len(failures)} broke a law; {stored:,} messages loaded, {len(ledger)} ledgers wrong; "
        f"slowest {slowest[0] * 1000:.0f} ms ({slowest[1]}:{slowest[2]}); memory "
        f"{growth / 2**20:+.1f} MiB"
    )
    return bool(failures or ledger or growth > MAX_GROWTH or slowest[0] > MAX_SECONDS)


def _blocks(reports: int, seed: int, jobs: int, url: str) -> Iterator[Tried]:
    # Spawned, not forked, so that a process starts without memory of this one.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(try_block, seed, at // NEIGHBOURS, min(NEIGHBOURS, reports - at), url)
            for at in range(0, reports, NEIGHBOURS)
        ]
        for one in as_completed(waiting):
            yield one.result()


def _growth(seen: Sequence[int]) -> int:
    return seen[-1] - max(seen[: max(1, round(len(seen) * _WARM))])


def _keep(seed: int, failure: Failure) -> None:
    kind, number, words = failure
    last = words.strip().splitlines()[-1]
    click.echo(f"{kind} {number} of seed {seed}: {last[:300]}", err=True)
    if kind not in KINDS:
        return
    _KEPT.mkdir(exist_ok=True)
    name = f"{kind}-{seed}-{number}"
    (_KEPT / f"{name}.xml").write_bytes(made(kind, seed, number))
    (_KEPT / f"{name}.txt").write_text(words, encoding="utf-8", errors="backslashreplace")
    click.echo(
        f"  {_KEPT / name}.xml; again: "
        f"python -m tests.fuzz.run --seed {seed} --only {kind}:{number}",
        err=True,
    )


def _largest(jobs: int) -> bool:
    """Measure every shape in four sizes, each shape in a new process."""
    bad, worst = 0, (0.0, "")
    with ThreadPoolExecutor(jobs) as pool:
        for name, found in zip(SHAPES, pool.map(_alone, SHAPES), strict=True):
            wrong = found.problems()
            bad += bool(wrong)
            worst = max(worst, (max(found.seconds, default=0.0), name))
            click.echo(_line(name, found) + "".join(f"  <- {words}" for words in wrong))
    click.echo(
        f"{len(SHAPES)} shapes of up to {MAX_REPORT_BYTES // 2**20} MiB, {bad} over a bound; "
        f"slowest {worst[0]:.1f} s ({worst[1]})"
    )
    return bool(bad)


def _alone(name: str) -> Measured:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measure, name).result()


def _line(name: str, found: Measured) -> str:
    seconds = " ".join(f"{one:7.2f}" for one in found.seconds)
    return f"{name:<34} {seconds} s  {found.growth / 2**20:+7.1f} MiB  {found.outcome}"


if __name__ == "__main__":
    fuzz()
