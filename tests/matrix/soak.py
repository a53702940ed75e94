"""Break everything, again and again, for as long as asked: `python -m tests.matrix.soak`.

One line for each fault; exit code 1 at the first one after which something is not accounted for.
"""

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import click

from runtime.logs import set_up_logs
from tests.matrix.faults import FAULTS
from tests.matrix.site import Site
from tests.matrix.trial import Outcome, attempt


@click.command()
@click.option("--minutes", type=click.FloatRange(0), default=10, show_default=True)
@click.option("--seed", type=int, help="Decides faults and moments [default: from the clock].")
@click.option(
    "--only",
    multiple=True,
    help="Only faults whose name holds this; may be repeated.",
)
def soak(*, minutes: float, seed: int | None, only: Sequence[str]) -> None:
    """Run the kill matrix until the time is up; every kind comes before one comes again."""
    seed = time.time_ns() % 1_000_000 if seed is None else seed
    names = [n for n in FAULTS if not only or any(word in n for word in only)]
    if not names:
        raise click.UsageError(f"no such fault; there are: {', '.join(FAULTS)}")
    # The fleet's own lines would run through ours; a broker that is away is worth one.
    set_up_logs(form="console", level="warning")
    directory = Path(tempfile.mkdtemp(prefix="statesys-soak-"))
    click.echo(f"seed {seed}, {minutes:g} minutes, {len(names)} kinds of faults, in {directory}")
    chance, deadline = Random(seed), time.monotonic() + 60 * minutes
    outcomes: list[Outcome] = []
    with Site(directory, seed=seed) as site:
        for name in _in_turn(names, chance):
            if time.monotonic() >= deadline:
                break
            outcome = attempt(site, name, FAULTS[name], chance)
            outcomes.append(outcome)
            click.echo(_line(outcome))
            if outcome.problems:
                site.keep = True
                break
    _summarise(outcomes)
    if site.keep:
        click.echo(f"logs, store and the servers' data: {directory}", err=True)
        sys.exit(1)
    shutil.rmtree(directory)


def _in_turn(names: Sequence[str], chance: Random) -> Iterator[str]:
    while True:
        yield from chance.sample(names, len(names))


def _line(outcome: Outcome) -> str:
    now = datetime.now(UTC).strftime("%H:%M:%S")
    start = f"{now}  {outcome.fault:<36} after {outcome.after:>7,} messages"
    if outcome.problems:
        return f"{start}  NOT verified: {'; '.join(outcome.problems)}"
    return f"{start}  recovered in {outcome.seconds:5.1f} s  verified {outcome.messages:,}"


def _summarise(outcomes: Sequence[Outcome]) -> None:
    click.echo("")
    times: dict[str, list[float]] = {}
    for outcome in outcomes:
        times.setdefault(outcome.fault, []).append(outcome.seconds)
    for fault, count in sorted(Counter(o.fault for o in outcomes).items()):
        found = times[fault]
        mean, worst = sum(found) / count, max(found)
        click.echo(f"{count:>4}  {fault:<36} recovery {mean:5.1f} s, longest {worst:5.1f} s")
    verified = sum(not outcome.problems for outcome in outcomes)
    checked = max((outcome.messages for outcome in outcomes), default=0)
    click.echo(
        f"{len(outcomes)} faults, {verified} verified; {checked:,} messages in the end, "
        f"{sum(outcome.messages for outcome in outcomes):,} looked for over all proofs"
    )


if __name__ == "__main__":
    soak()
