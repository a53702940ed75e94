"""The demo from beginning to end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from console.queries import Queries
from console.queries.rows import Arrival
from lab.demo.progress import Display
from lab.demo.site import FLEET
from lab.demo.summary import DemoSummary
from lab.demo.workers import DemoWorkers
from lab.servers import Servers
from lab.verify.verifying import verify
from producers.fleet import Fleet
from producers.fleet import Progress as Step
from producers.plan import Plan
from producers.store import Store, StoreReader
from runtime.broker import Administration
from runtime.workers.signals import Stop
from schemas.errors import StatesysError
from schemas.topology import DEAD

#: Seconds between two looks.
PAUSE = 0.25
#: Seconds without any change after which the demo gives up. A check, a request and its answer
#: take about ten, and several times that on a busy machine.
STALL = 60.0


class Convergence:
    """The condition that ends the answering of resyncs.

    The last report of every client is a heartbeat or an answer, which meet no fault. So once all
    is loaded, every client's highest serial is the last one in its store. A client whose serials
    are all accounted for has no open range.

    Args:
        store: of the fleet.
        queries: of the database.
        check: raises an error when a worker died.
        show: shows a state in words.
    """

    def __init__(
        self,
        store: StoreReader,
        queries: Queries,
        *,
        check: Callable[[], None],
        show: Callable[[str], None],
    ) -> None:
        self._store = store
        self._queries = queries
        self._check = check
        self._show = show
        self._look_at = 0.0
        self._last: tuple[Arrival, int] | None = None
        self._moved_at = time.monotonic()

    def reached(self) -> bool:
        """Whether everything arrived, nothing is missing and every request is closed.

        Raises:
            StatesysError: a worker died, or nothing changed for a minute.
        """
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + PAUSE
        self._check()
        arrival = self._queries.arrival()
        last_serials = sum(client.last_serial for client in self._store.clients())
        if (arrival, last_serials) != self._last:
            self._last, self._moved_at = (arrival, last_serials), now
        coming = max(last_serials - arrival.highest_serials, 0)
        self._show(
            f"{coming:,} messages on the way, {arrival.open_ranges:,} missing ranges open, "
            f"{arrival.open_requests:,} clients asked"
        )
        if now - self._moved_at > STALL:
            raise StatesysError(
                f"nothing moved for {STALL:.0f} s: {coming:,} messages on the way, "
                f"{arrival.open_ranges:,} missing ranges open; look at the workers' logs"
            )
        return coming == 0 and arrival.open_ranges == 0 and arrival.open_requests == 0


#: Seconds for the work queues to become empty before the proof.
_VERIFY_TIMEOUT = 60.0
_NAME = "statesys demo"


@dataclass(frozen=True, kw_only=True)
class Demo:
    """One demo.

    Attributes:
        plan: clients and faults.
        cycles: forward cycles of every client.
        directory: the demo's own (`lab.demo.site`).
        servers: the demo's own, empty.
        display: shows the progress.
        stop: ends the demo in order, between two steps.
    """

    plan: Plan
    cycles: int
    directory: Path
    servers: Servers
    display: Display
    stop: Stop

    def run(self) -> DemoSummary:
        """Publish with faults, resync until nothing is missing, verify, count.

        Raises:
            click.Abort: `stop` is set.
            StatesysError: a worker died, or nothing changed for a minute.
        """
        started = time.monotonic()
        plan = self.plan
        self.display.step("preparing", "clients")
        now = datetime.now(UTC)
        with Store(self.directory / FLEET, seed=plan.seed, clients=plan.clients, now=now) as store:
            with DemoWorkers(self.servers, self.directory) as workers:
                workers.start()
                self._run_fleet(store, workers)
                self.display.step("verifying", "every message and every state")
                problems = self._prove()
                self.display.step("stopping", "relay and loader")
                workers.stop()
            return self._count(store, problems, seconds=time.monotonic() - started)

    def _run_fleet(self, store: Store, workers: DemoWorkers) -> None:
        """Publish all reports of the clients, and answer their resync requests."""
        url = self.servers.amqp_url

        def show(step: Step) -> None:
            # Publishing is useless once a worker has died.
            workers.check()
            self.display.fleet(step)

        with (
            Queries.open(self.servers.database_url, name=_NAME) as queries,
            Fleet(store, url, self.plan, stop=self.stop, on_progress=show) as fleet,
        ):

            def answer(step: str) -> None:
                arrived = Convergence(
                    store,
                    queries,
                    check=workers.check,
                    show=lambda state: self.display.step(step, state),
                )
                fleet.answer_requests(until=arrived.reached)

            fleet.publish_cycles(self.cycles)
            # The next message reveals that a client's last report was lost.
            fleet.heartbeat_all()
            answer("loading and resyncing")
            # Every client sends once more, after all faults.
            fleet.heartbeat_all()
            answer("loading the last heartbeats")
        self._look_for_stop()

    def _prove(self) -> tuple[str, ...]:
        """Verify; return what breaks the promise, empty when nothing does."""

        def pause(seconds: float) -> None:
            self.stop.wait(seconds)
            self._look_for_stop()

        outcome = verify(self.directory / FLEET, self.servers, timeout=_VERIFY_TIMEOUT, pause=pause)
        if outcome.tally is None:
            return (f"still on the way: {outcome.backlog}",)
        return (*outcome.tally.problems, *outcome.tally.offenders)

    def _count(self, store: Store, problems: tuple[str, ...], *, seconds: float) -> DemoSummary:
        with (
            Administration(self.servers.amqp_url, name=_NAME) as admin,
            Queries.open(self.servers.database_url, name=_NAME) as queries,
        ):
            depth = admin.depth(DEAD)
            return DemoSummary(
                sent=store.totals(),
                faults=store.injected_by_kind(),
                counts=queries.closing_counts(),
                refused=0 if depth is None else depth.ready,
                problems=problems,
                seconds=seconds,
            )

    def _look_for_stop(self) -> None:
        if self.stop.is_set():
            raise click.Abort
