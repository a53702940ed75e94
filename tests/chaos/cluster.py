"""Break the brokers of a cluster, each kind once: `python -m tests.chaos.cluster`.

It prints one line for each fault and a table at the end, and ends with exit code 1 at the first
fault that breaks the promise.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import click

from runtime.logs import set_up_logs
from runtime.workers.signals import interrupt_on_signals
from tests.chaos.cluster_faults import DISK, FAULTS
from tests.chaos.cluster_site import ClusterSite, Pauses
from tests.chaos.disk import why_none
from tests.chaos.trial import Outcome, attempt


@click.command()
@click.option("--seed", type=int, help="Decides fleet and moments [default: from the clock].")
@click.option("--only", multiple=True, help="Only faults whose name holds this; may be repeated.")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True)
@click.option("--tame", is_flag=True, help="A fleet without hostile clients.")
def cluster(*, seed: int | None, only: Sequence[str], rounds: int, tame: bool) -> None:
    """Run the fault matrix of a cluster with a hostile fleet, and print it as a table."""
    seed = time.time_ns() % 1_000_000 if seed is None else seed
    # Log lines of the fleet would interrupt the output; errors still appear.
    set_up_logs(form="console", level="error")
    directory = Path(tempfile.mkdtemp(prefix="statesys-cluster-"))
    # PostgreSQL may run as another user, which has to reach its data below this directory.
    directory.chmod(0o711)
    interrupt_on_signals()
    reason = why_none(directory)
    names = [
        name
        for name in FAULTS
        if not (reason and name in DISK) and (not only or any(word in name for word in only))
    ]
    if not names:
        raise click.UsageError(f"no such fault; there are: {', '.join(FAULTS)}")
    if reason:
        click.echo(f"without {', '.join(DISK)}: {reason}", err=True)
    click.echo(f"seed {seed}, {len(names)} kinds of faults, in {directory}")
    found: list[tuple[Outcome, Pauses]] = []
    failed = False
    try:
        with ClusterSite(
            directory / "site", seed=seed, hostile=not tame, small_disks=not reason
        ) as site:
            for number, name in enumerate(names * rounds):
                outcome = attempt(site, name, FAULTS[name], Random(f"{seed} {number}"))
                found.append((outcome, site.last_pauses))
                click.echo(_line(*found[-1]))
                site.keep = failed = bool(outcome.problems)
                if failed:
                    break
    finally:
        if not failed:
            shutil.rmtree(directory)
    _table(found)
    if failed:
        click.echo(f"logs, store and the servers' data: {directory}", err=True)
        sys.exit(1)


def _line(outcome: Outcome, pauses: Pauses) -> str:
    start = f"{outcome.fault:<36} after {outcome.after:>7,} messages"
    if outcome.problems:
        return f"{start}  NOT verified: {'; '.join(outcome.problems)}"
    return (
        f"{start}  without progress: site {pauses.site:5.1f} s, slowest worker "
        f"{pauses.worker:5.1f} s; proved in {outcome.seconds:5.1f} s, "
        f"{outcome.messages:>7,} messages"
    )


def _table(found: Sequence[tuple[Outcome, Pauses]]) -> None:
    click.echo("\n| fault | seconds without a commit | slowest worker | messages |")
    click.echo("|---|--:|--:|--:|")
    for outcome, pauses in found:
        if not outcome.problems:
            click.echo(
                f"| {outcome.fault} | {pauses.site:.1f} | {pauses.worker:.1f} "
                f"| {outcome.messages:,} |"
            )


if __name__ == "__main__":
    cluster()
