"""Break all parts of sites, for as long as asked: `python -m tests.chaos.soak`.

It prints one line for each fault, and ends with exit code 1 at the first one that breaks the
promise.
"""

import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import click

from producers.faults import FAULTS as UNRELIABLE
from producers.store import StoreReader
from runtime.logs import set_up_logs
from runtime.workers.signals import interrupt_on_signals
from tests.chaos.disk import why_none
from tests.chaos.faults import DISK, FAULTS
from tests.chaos.schedule import Schedule
from tests.chaos.site import Site
from tests.chaos.trial import Outcome, attempt

#: Seconds from a server's return within which the workers must make progress.
_PROMISED = 10.0


class Soak:
    """Breaks sites side by side until the time is up or a proof fails.

    Args:
        schedule: of the faults.
        seed: of the fleets, and of the moments.
        deadline: monotonic seconds; no fault begins after it.
    """

    def __init__(self, schedule: Schedule, *, seed: int, deadline: float) -> None:
        self._schedule = schedule
        self._seed = seed
        self._deadline = deadline
        self._stop = threading.Event()
        self.failed = False
        #: The outcome of each fault, by site.
        self.outcomes: dict[str, list[Outcome]] = {}
        #: How often clients were hostile, by kind.
        self.hostile: Counter[str] = Counter()

    def run(self, directory: Path, *, hostile: bool, small_disks: bool) -> None:
        """Run faults on one site.

        Args:
            directory: of the site, kept if a proof fails; its name is the site's.
            hostile, small_disks: see `Site`.
        """
        name = directory.name
        found = self.outcomes.setdefault(name, [])
        rng = Random(f"{self._seed} {name}")
        seed = self._seed
        try:
            with Site(directory, seed=seed, hostile=hostile, small_disks=small_disks) as site:
                while not self._stop.is_set() and time.monotonic() < self._deadline:
                    fault = self._schedule.next(small_disks=small_disks)
                    if fault is None:
                        break
                    outcome = attempt(site, fault, FAULTS[fault], rng)
                    found.append(outcome)
                    click.echo(_line(name, outcome))
                    if hostile:
                        self.hostile = _hostility(site)
                    if outcome.problems:
                        site.keep = self.failed = True
                        break
        except BaseException:
            self.failed = True
            raise
        finally:
            if self.failed:
                self.stop()

    def stop(self) -> None:
        """Let no further fault begin."""
        self._stop.set()


def _hostility(site: Site) -> Counter[str]:
    found: Counter[str] = Counter()
    with StoreReader(site.fleet) as store:
        for kind, count in store.injected_by_kind().items():
            if kind not in UNRELIABLE:
                # The kind of a malformed report ends with the reason, after a dot.
                found[kind.partition(".")[0]] += count
    return found


@click.command()
@click.option("--minutes", type=click.FloatRange(0), default=10, show_default=True)
@click.option("--seed", type=int, help="Decides faults and moments [default: from the clock].")
@click.option(
    "--only",
    multiple=True,
    help="Only faults whose name holds this; may be repeated.",
)
@click.option(
    "--sites",
    type=click.IntRange(1),
    help="Sites side by side [default: 3, with fewer than 4 processors 2].",
)
def soak(*, minutes: float, seed: int | None, only: Sequence[str], sites: int | None) -> None:
    """Run the kill matrix until the time is up; every kind comes before one comes again.

    The first site has small disks, the last one a hostile fleet.
    """
    seed = time.time_ns() % 1_000_000 if seed is None else seed
    names = [n for n in FAULTS if not only or any(word in n for word in only)]
    if not names:
        raise click.UsageError(f"no such fault; there are: {', '.join(FAULTS)}")
    if sites is None:
        sites = 3 if len(os.sched_getaffinity(0)) >= 4 else 2
    # Log lines of the fleet would interrupt the output; errors still appear.
    set_up_logs(form="console", level="error")
    directory = Path(tempfile.mkdtemp(prefix="statesys-soak-"))
    # PostgreSQL may run as another user, which has to reach its data below this directory.
    directory.chmod(0o711)
    interrupt_on_signals()
    reason = why_none(directory)
    if reason:
        names = [name for name in names if name not in DISK]
        click.echo(f"without {', '.join(DISK)}: {reason}", err=True)
    click.echo(
        f"seed {seed}, {minutes:g} minutes, {len(names)} kinds of faults on {sites} sites, "
        f"in {directory}"
    )
    rng = Random(seed)
    work = Soak(Schedule(names, rng), seed=seed, deadline=time.monotonic() + 60 * minutes)
    with _cleaning(work, directory), ThreadPoolExecutor(sites) as threads, _stopping(work):
        living = [
            threads.submit(
                work.run,
                directory / f"site-{number}",
                hostile=number == sites,
                small_disks=number == 1 and not reason,
            )
            for number in range(1, sites + 1)
        ]
        for one in living:
            one.result()
    _summarise(work.outcomes, names)
    click.echo(f"hostile: {', '.join(f'{count} {kind}' for kind, count in work.hostile.items())}")
    if work.failed:
        click.echo(f"logs, store and the servers' data: {directory}", err=True)
        sys.exit(1)


@contextmanager
def _cleaning(work: Soak, directory: Path) -> Iterator[None]:
    """Remove the directory at the end, unless a fault failed."""
    try:
        yield
    finally:
        if not work.failed:
            shutil.rmtree(directory)


@contextmanager
def _stopping(work: Soak) -> Iterator[None]:
    """End the sites after their present fault when the block ends, also by Ctrl-C."""
    try:
        yield
    finally:
        work.stop()


def _line(site: str, outcome: Outcome) -> str:
    now = datetime.now(UTC).strftime("%H:%M:%S")
    start = f"{now}  {site}  {outcome.fault:<34} after {outcome.after:>7,} messages"
    if outcome.problems:
        return f"{start}  NOT verified: {'; '.join(outcome.problems)}"
    late = outcome.progress is not None and outcome.progress > _PROMISED
    progress = "" if outcome.progress is None else f"  progress in {outcome.progress:.1f} s"
    mark = f"  OVER {_PROMISED:g} s" if late else ""
    return (
        f"{start}  proved in {outcome.seconds:5.1f} s, {outcome.messages:>7,} messages"
        f"{progress}{mark}"
    )


def _summarise(by_site: dict[str, list[Outcome]], names: Sequence[str]) -> None:
    click.echo("")
    outcomes = [outcome for found in by_site.values() for outcome in found]
    kinds: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        kinds.setdefault(outcome.fault, []).append(outcome)
    for fault, found in sorted(kinds.items()):
        proofs = [outcome.seconds for outcome in found]
        back = [o.progress for o in found if o.progress is not None]
        click.echo(
            f"{len(found):>4}  {fault:<34} proof {sum(proofs) / len(found):5.1f} s, "
            f"longest {max(proofs):5.1f} s" + (f"; progress {_seconds(back)}" if back else "")
        )
    verified = sum(not outcome.problems for outcome in outcomes)
    checked = sum(max((o.messages for o in found), default=0) for found in by_site.values())
    missing = sorted(set(names) - kinds.keys())
    click.echo(
        f"{len(outcomes)} faults of {len(kinds)} kinds, {verified} verified; {checked:,} messages "
        f"checked, {sum(outcome.messages for outcome in outcomes):,} over all proofs"
    )
    if missing:
        click.echo(f"not among them: {', '.join(missing)}")


def _seconds(found: Sequence[float]) -> str:
    """Format a list of seconds."""
    return ", ".join(f"{one:.1f}" for one in found) + " s"


if __name__ == "__main__":
    soak()
