"""The primary is killed under load and its standby promoted: `python -m tests.chaos.failover`.

Workers have a URL with both servers, and nobody touches them. With a synchronous standby nothing
that a loader acknowledged may be missing; with an asynchronous one everything that is missing has
to be found. The program prints a line of docs/reliability.md for each failover.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import click

from runtime.logs import set_up_logs
from runtime.workers.signals import interrupt_on_signals
from tests.chaos.faults import Strike, failover
from tests.chaos.site import Site
from tests.chaos.trial import attempt
from tests.support.nodes import Pair, pair

#: Messages that the standby of an asynchronous pair lacks at the failover, at least.
_BEHIND = 200


class Outcome(NamedTuple):
    """A failover.

    Attributes:
        synchronous: whether commits waited for the standby.
        after: messages that the clients had numbered before it.
        still: seconds from the kill until the next chunk was committed on the other server.
        whole: seconds from then until everything was proved, the stop of the clients included.
        messages: messages in the proof.
        lost: messages that no history has: they were acknowledged, and a failover undid that.
        problems: what breaks the promise; empty means verified.
    """

    synchronous: bool
    after: int
    still: float
    whole: float
    messages: int
    lost: int
    problems: tuple[str, ...]


@contextmanager
def failing_site(*, seed: int, fsync: bool) -> Iterator[tuple[Site, Pair]]:
    """A site whose database is a pair, and whose clients lose nothing on purpose."""
    with tempfile.TemporaryDirectory(prefix="statesys-failover-") as directory:
        # Only its owner may enter it; PostgreSQL's user has to reach its data.
        Path(directory).chmod(0o711)
        with (
            pair(fsync=fsync) as servers,
            Site(Path(directory), seed=seed, database_url=servers.url, reliable=True) as site,
        ):
            yield site, servers


def fail_over(site: Site, servers: Pair, rng: Random, *, synchronous: bool) -> Outcome:
    """Fail over at a random moment, and prove what there is then.

    Args:
        synchronous: let commits wait for the standby; otherwise the standby is cut off before.
    """
    if synchronous:
        servers.make_synchronous()
    before = site.numbered() - site.stored() if site.fleet.exists() else 0
    strike: Strike = failover(servers, behind=0 if synchronous else _BEHIND)
    found = attempt(site, "failover", strike, rng)
    lost = site.numbered() - site.stored() - before
    problems = list(found.problems)
    if synchronous and lost:
        problems.append(f"{lost} messages were acknowledged, and are not in the history")
    if not synchronous and not lost:
        problems.append("the standby had everything, so nothing was shown")
    still = 0.0 if found.progress is None else found.progress
    return Outcome(
        synchronous, found.after, still, found.seconds, found.messages, lost, tuple(problems)
    )


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(rounds: int, seed: int) -> None:
    """Fail over, to and fro: each round once without and once with a synchronous standby.

    \b
    Example:
      python -m tests.chaos.failover --rounds 5 --seed 7
    """
    set_up_logs(form="console", level="error")
    interrupt_on_signals()
    rng = Random(seed)
    click.echo("| standby | after | s without progress | s to the proof | messages | lost |")
    click.echo("|---|--:|--:|--:|--:|--:|")
    failed = False
    with failing_site(seed=seed, fsync=True) as (site, servers):
        for number in range(2 * rounds):
            if number:
                servers.restore()
            found = fail_over(site, servers, rng, synchronous=bool(number % 2))
            click.echo(_line(found))
            for problem in found.problems:
                failed = True
                click.echo(f"  {problem}", err=True)
            if failed:
                break
    sys.exit(failed)


def _line(found: Outcome) -> str:
    kind = "synchronous" if found.synchronous else "asynchronous, behind"
    return (
        f"| {kind} | {found.after:,} | {found.still:.1f} | {found.whole:.1f} "
        f"| {found.messages:,} | {found.lost:,} |"
    )


if __name__ == "__main__":
    main()
