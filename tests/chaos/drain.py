"""One drain, and a loader that is killed again and again: `python -m tests.chaos.drain`.

Full queues are emptied twice: by a loader that nobody disturbs, and by loaders that die of SIGKILL
at random moments. Both must end in the same tables.
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

#: Reports of 4 messages; a client sends 25 of them, and loses one in ten: ranges stay open.
_PER_REPORT, _PER_CLIENT = 4, 100
#: Of a client's messages these arrive, at least, over many clients.
_ARRIVING = 0.88 * _PER_CLIENT
#: Reports of a batch: few, so that there are many batches and many are in hand.
_PER_BATCH = 3
#: Batches by turns: one in five is urgent, one in five has time.
_LANES = (Lane.HIGH, Lane.NORMAL, Lane.NORMAL, Lane.NORMAL, Lane.LOW)
#: No kill waits for more than this part of the messages: each finds work, the last one too.
_LAST_MOMENT = 0.95
#: Messages for each kill, so that there is work for all that are to come, wherever they strike.
_PER_KILL = 500
#: Seconds in which the broker has long noticed that a loader is gone.
_NOTICED = 10.0
#: Seconds between two kills at most, on a busy machine and in a long drain.
_PATIENCE = 600.0
#: How far the days after the drain are walked through, with nobody answering.
_BOUNDARIES = 5


class Ending(NamedTuple):
    """The tables after a drain.

    Attributes:
        same: rows by name that kills may not change.
        duplicates: by client.
    """

    same: dict[str, list[tuple[Any, ...]]]
    duplicates: dict[UUID, int]


class Kill(NamedTuple):
    """A SIGKILL that found batches in hand.

    Attributes:
        start: seconds from the loader's start to its first chunk.
        stored: messages in the history before the kill.
        returned: batches that the broker took back, at least.
    """

    start: float
    stored: int
    returned: int


class Outcome(NamedTuple):
    """A drain with kills, held against one without.

    Attributes:
        unsure: kills beside those that count: what they had in hand could not be seen.
        again: messages that were committed and came again, since nobody had acknowledged them.
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
    """Queues to drain, tables to drain into, and loaders to do it.

    Args:
        logs: directory for the logs of loaders, one for each.
        bodies: of the batches that a drain begins with.
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
        """Nothing in the tables, everything in the queues."""
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
        """A connection to look at the queues with."""
        return Administration(self._amqp_url, name="test")

    def stored(self) -> int:
        """Messages in the history."""
        ((count,),) = self.tables.rows("SELECT count(*) FROM state_message")
        return int(count)

    def finish(self) -> Ending:
        """Let one loader load what is left, and look at the tables."""
        with self.loader("--exit-when-empty") as loader:
            code = loader.process.wait()
            assert code == 0, loader.text[-2000:]
        return ending(self.tables)


def reports_of(messages: int, *, seed: int) -> list[Report]:
    """What a fleet sent, shuffled, with losses and copies; at least so many messages arrive."""
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

    That is all that the law names, with all columns of the current state, and of the client's row
    whatever follows from the reports alone. Two of its counters do not. `duplicates` counts
    arrivals: a chunk that was committed and not acknowledged arrives again, so kills may raise it,
    and never lower it. `superseded` counts messages that came when a newer one of their topic was
    there, which is a matter of order; kills change the order. Load times, ids of SMX and batches
    (which copy of a report was first) and closed ranges are outside the law.
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
    """What kills have changed, in sentences."""
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
        reports: what is in the ground's batches.
        kills: that surely find batches in hand.
        seed: of their moments.
        tell: takes a line for each drain and kill.
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
    """Why an undisturbed drain is no measure for others; empty when it is one."""
    same, problems = undisturbed.same, []
    if {(client, serial) for client, serial, _ in same["history"]} != messages_in(reports):
        problems.append("undisturbed: the history is not what was sent")
    if same["stored twice"]:
        problems.append(f"undisturbed: {len(same['stored twice'])} messages stored twice")
    if not same["open ranges"] or not any(undisturbed.duplicates.values()):
        problems.append("undisturbed: nothing was lost or doubled, so there is little to compare")
    return problems


def _moments(total: int, kills: int, seed: int) -> list[int]:
    """How many messages are stored when it strikes: anywhere, sometimes soon after the last."""
    rng = Random(f"kills {seed}")
    return sorted(rng.randrange(round(total * _LAST_MOMENT)) for _ in range(kills))


def _kill(
    site: DrainSite, moments: Sequence[int], tell: Callable[[str], None]
) -> tuple[list[Kill], int]:
    """Kill a loader at each of the moments; how many kills more did not count."""
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
    """Let a loader live until a moment, but until its first chunk at least, and kill it.

    A loader at work only takes batches out of the queues. So what is ready after its death beyond
    what was ready before is what it had in hand: at least, as it may have taken more in between.
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
        # Readers and the check agree on who would be asked for what was lost.
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
