"""Kill loaders again and again during one drain: `python -m tests.chaos.drain`.

The program drains full queues twice: with an undisturbed loader, and with loaders that die of
SIGKILL at random moments. Both must end in the same tables.
"""

import math
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple
from uuid import UUID

import click

from loader.migrations import migrate
from runtime.broker import Administration
from runtime.devserver.processes import until
from runtime.workers.signals import interrupt_on_signals
from schemas.report import Lane, Report
from schemas.topology import DEAD, INCOMING
from tests.chaos.servers import Servers
from tests.support.agreement import walk_days
from tests.support.processes import Program, batches_of, fill, fleet_reports, messages_in
from tests.support.waiting import wait_until
from tests.support.world import Tables, open_tables

#: Messages in a report and of a client. One report in ten is lost, so that ranges stay open.
_PER_REPORT, _PER_CLIENT = 4, 100
#: Messages of a client that arrive, at least, on average over many clients.
_ARRIVING = 0.88 * _PER_CLIENT
#: Reports in a batch: few, so that a loader holds many batches.
_PER_BATCH = 3
#: Lanes of the batches: one in five is high, one in five is low.
_LANES = (Lane.HIGH, Lane.NORMAL, Lane.NORMAL, Lane.NORMAL, Lane.LOW)
#: The last kill comes at this share of the messages at most, so that the loader still has work.
_LAST_MOMENT = 0.95
#: Messages for each kill, so that every loader has work when it is killed.
_PER_KILL = 500
#: Seconds; the broker notices much sooner that a loader is gone.
_NOTICED = 10.0
#: Seconds between two kills at most, on a busy machine and in a long drain.
_PATIENCE = 600.0
#: Boundaries of the resync rules that are checked after the drain, without any answer.
_BOUNDARIES = 5


class Ending(NamedTuple):
    """The tables after a drain.

    Attributes:
        same: rows by name; kills must not change them.
        duplicates: counter by client.
    """

    same: dict[str, list[tuple[Any, ...]]]
    duplicates: dict[UUID, int]


class Kill(NamedTuple):
    """A SIGKILL of a loader that held batches.

    Attributes:
        start: seconds from the loader's start to its first chunk.
        stored: messages in the history before the kill.
        returned: batches that returned to their queues, at least.
    """

    start: float
    stored: int
    returned: int


class Outcome(NamedTuple):
    """A drain with kills, compared with one without.

    Attributes:
        unsure: further kills that do not count, because no batch was seen to return.
        again: messages that were committed but not acknowledged, and so came again.
        alone, together: seconds of the drain without and with kills.
        problems: what kills have changed; empty means nothing.
    """

    kills: tuple[Kill, ...]
    unsure: int
    again: int
    alone: float
    together: float
    problems: tuple[str, ...]


class DrainSite:
    """The queues, tables and loaders of a drain.

    Args:
        logs: directory for the logs of loaders, one for each.
        bodies: batches that a drain begins with.
    """

    def __init__(
        self, amqp_url: str, database_url: str, tables: Tables, logs: Path, bodies: Sequence[bytes]
    ) -> None:
        self.tables = tables
        self._amqp_url = amqp_url
        self._database_url = database_url
        self._logs = logs
        self._bodies = bodies
        self._lives = 0

    def begin(self) -> None:
        """Empty the tables, and publish all batches."""
        self.tables.truncate()
        for at, lane in enumerate(_LANES):
            fill(self._amqp_url, self._bodies[at :: len(_LANES)], queue=INCOMING[lane])

    def loader(self, *flags: str) -> Program:
        """Start a loader with a log of its own."""
        self._lives += 1
        return Program(
            self._logs / f"loader-{self._lives}.log",
            *("loader", "run", *flags),
            amqp_url=self._amqp_url,
            database_url=self._database_url,
        )

    def admin(self) -> Administration:
        """Open a connection to inspect the queues."""
        return Administration(self._amqp_url, name="test")

    def stored(self) -> int:
        """The number of messages in the history."""
        ((count,),) = self.tables.rows("SELECT count(*) FROM state_message")
        return int(count)

    def finish(self) -> Ending:
        """Let one loader load the rest, and return the tables."""
        with self.loader("--exit-when-empty") as loader:
            code = loader.process.wait()
            assert code == 0, loader.text[-2000:]
        return ending(self.tables)


def reports_of(messages: int, *, seed: int) -> list[Report]:
    """Make a fleet's reports, shuffled, with losses and copies.

    Args:
        messages: at least this many arrive.
    """
    reports = fleet_reports(
        clients=math.ceil(messages / _ARRIVING),
        messages=_PER_CLIENT,
        per_report=_PER_REPORT,
        seed=seed,
    )
    assert len(messages_in(reports)) >= messages, "hardly ever are so many lost: another seed"
    return reports


def ending(tables: Tables) -> Ending:
    """Read from the tables what two drains of the same batches must agree on.

    These are all rows of the law, all columns of the current state, and the columns of `client`
    that follow from the reports alone. Two counters of `client` do not. `duplicates` counts
    arrivals: a chunk that was committed but not acknowledged arrives again, so kills may raise
    the counter, and never lower it. `superseded` counts messages that came after a newer one of
    their topic, which depends on the order; kills change the order. Load times, ids of SMX and
    batches (which copy of a report came first) and closed ranges are outside the law.
    """
    same = tables.law()
    same["clients"] = tables.rows(
        "SELECT client_id, name, version, highest_serial, highest_report_date, accounted, "
        "resynced_below, reuse_seen_at, duplicate_identity_at, reply_queue, last_seen, "
        "last_message_time, reused FROM client ORDER BY 1"
    )
    same["current state"] = tables.rows("SELECT * FROM current_state ORDER BY 1, 2, 3, 4")
    same["resync requests"] = tables.rows("SELECT * FROM resync_request")
    return Ending(same, dict(tables.rows("SELECT client_id, duplicates FROM client")))


def compare(undisturbed: Ending, killed: Ending) -> list[str]:
    """Describe what kills have changed, in sentences."""
    problems = []
    for name, rows in undisturbed.same.items():
        others = killed.same[name]
        if rows != others:
            differing = set(map(repr, rows)) ^ set(map(repr, others))
            problems.append(
                f"{name}: {len(differing)} rows differ, as {min(differing, default='')}"
            )
    now = killed.duplicates
    lower = [c for c, count in undisturbed.duplicates.items() if now.get(c, 0) < count]
    if lower:
        problems.append(f"fewer duplicates than without kills: {len(lower)} clients")
    return problems


def drain_with_kills(
    site: DrainSite,
    reports: Sequence[Report],
    *,
    kills: int,
    seed: int,
    tell: Callable[[str], None] = lambda _line: None,
) -> Outcome:
    """Drain without and with kills, and compare.

    Args:
        reports: the content of the batches.
        kills: number of kills that surely hit a loader with batches.
        seed: of their moments.
        tell: called with a line for each drain and kill.
    """
    site.begin()
    started = time.monotonic()
    undisturbed = site.finish()
    alone = time.monotonic() - started
    problems = _wrong(undisturbed, reports)
    tell(f"undisturbed: {alone:.1f} s, {len(undisturbed.same['open ranges']):,} ranges are open")

    site.begin()
    started = time.monotonic()
    total = len(messages_in(reports))
    found, unsure = _kill(site, _moments(total, kills, seed), tell)
    if site.stored() >= total:
        problems.append("the last kill came after the end")
    killed = site.finish()
    together = time.monotonic() - started
    problems += compare(undisturbed, killed)
    with site.admin() as admin:
        for queue in (*INCOMING.values(), DEAD):
            left = admin.depth(queue)
            if left is None or left.ready:
                problems.append(f"{queue} is not empty")
    again = sum(killed.duplicates.values()) - sum(undisturbed.duplicates.values())
    return Outcome(tuple(found), unsure, again, alone, together, tuple(problems))


def _wrong(undisturbed: Ending, reports: Sequence[Report]) -> list[str]:
    """Say why an undisturbed drain is unfit for the comparison; empty when it is fit."""
    same, problems = undisturbed.same, []
    if {(client, serial) for client, serial, _ in same["history"]} != messages_in(reports):
        problems.append("undisturbed: the history is not what was sent")
    if same["stored twice"]:
        problems.append(f"undisturbed: {len(same['stored twice'])} messages stored twice")
    if not same["open ranges"] or not any(undisturbed.duplicates.values()):
        problems.append("undisturbed: nothing was lost or doubled, so there is little to compare")
    return problems


def _moments(total: int, kills: int, seed: int) -> list[int]:
    """Choose random numbers of stored messages at which to kill, in ascending order."""
    rng = Random(f"kills {seed}")
    return sorted(rng.randrange(round(total * _LAST_MOMENT)) for _ in range(kills))


def _kill(
    site: DrainSite, moments: Sequence[int], tell: Callable[[str], None]
) -> tuple[list[Kill], int]:
    """Kill a loader at each of the moments; also return how many more kills did not count."""
    found: list[Kill] = []
    unsure = 0
    with site.admin() as admin:
        while len(found) < len(moments):
            kill = _strike(site, admin, moments[len(found)])
            if kill.returned > 0:
                found.append(kill)
                tell(
                    f"kill {len(found):>3}  at {kill.stored:>9,} messages, {kill.start:4.1f} s "
                    f"from start to first chunk, {kill.returned:,} batches or more come back"
                )
            else:
                unsure += 1
    return found, unsure


def _strike(site: DrainSite, admin: Administration, moment: int) -> Kill:
    """Let a loader run until a moment, at least until its first chunk, and kill it.

    A running loader only takes batches out of the queues. So the increase of ready batches after
    its death is a lower bound of what it held: it may have taken more after the first count.
    """
    started = time.monotonic()
    with site.loader() as loader:
        loader.await_event("loader.chunk_loaded")
        start = time.monotonic() - started
        wait_until(
            lambda: site.stored() >= moment or loader.process.poll() is not None,
            timeout=_PATIENCE,
            what=f"{moment} messages",
        )
        stored = site.stored()
        before = _ready(admin)
        loader.send(signal.SIGKILL)
        code = loader.end()
        assert code == -signal.SIGKILL, f"it had ended before, with {code}: {loader.text[-2000:]}"
    until(lambda: _ready(admin) > before, seconds=_NOTICED)
    return Kill(start, stored, _ready(admin) - before)


def _ready(admin: Administration) -> int:
    depths = [admin.depth(queue) for queue in INCOMING.values()]
    return sum(depth.ready for depth in depths if depth is not None)


@click.command()
@click.option("--messages", type=click.IntRange(10_000), default=200_000, show_default=True)
@click.option("--kills", type=click.IntRange(1), default=20, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Of reports and moments.")
def main(*, messages: int, kills: int, seed: int) -> None:
    """Kill loaders again and again during one drain; exit code 1 when it shows in the tables."""
    if messages < kills * _PER_KILL:
        raise click.UsageError(f"a kill needs {_PER_KILL} messages, or the drain ends before it")
    interrupt_on_signals()
    directory = Path(tempfile.mkdtemp(prefix="statesys-drain-"))
    servers = Servers(directory / "home")
    done = False
    try:
        url = servers.endpoints.database_url
        migrate(url)
        reports = reports_of(messages, seed=seed)
        bodies = batches_of(reports, size=_PER_BATCH)
        click.echo(
            f"{len(messages_in(reports)):,} messages, "
            f"{sum(len(one.messages) for one in reports):,} with copies, "
            f"in {len(bodies):,} batches; logs in {directory}"
        )
        with open_tables(url) as tables:
            site = DrainSite(servers.endpoints.amqp_url, url, tables, directory, bodies)
            outcome = drain_with_kills(site, reports, kills=kills, seed=seed, tell=click.echo)
        _summarise(outcome)
        # Readers and the check agree on the clients to ask for the lost messages.
        told = walk_days(url, _BOUNDARIES)
        click.echo("as told beforehand: " + ", ".join(f"{n:,} {what}" for what, n in told.items()))
        done = not outcome.problems
    finally:
        servers.close(purge=done)
    if not done:
        click.echo(f"logs and the servers' data: {directory}", err=True)
        sys.exit(1)
    shutil.rmtree(directory)


def _summarise(outcome: Outcome) -> None:
    starts = [kill.start for kill in outcome.kills]
    click.echo(
        f"{len(outcome.kills)} kills with batches in hand, {outcome.unsure} more uncounted; "
        f"{sum(kill.returned for kill in outcome.kills):,} batches came back at least, "
        f"{outcome.again:,} messages were committed before and came again\n"
        f"{outcome.together:.1f} s, {outcome.alone:.1f} s without kills; from start to first "
        f"chunk {median(starts):.1f} s, longest {max(starts):.1f} s"
    )
    for problem in outcome.problems:
        click.echo(f"NOT the same: {problem}")
    if not outcome.problems:
        click.echo("the tables are those of the undisturbed drain")


if __name__ == "__main__":
    main()
