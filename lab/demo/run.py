"""The demo from beginning to end."""

import time
from datetime import UTC, datetime

import click

from console.queries import Queries
from console.servers import Servers
from lab.demo.convergence import Convergence
from lab.demo.plan import DemoPlan
from lab.demo.progress import Display
from lab.demo.summary import Summary
from lab.demo.workers import Workers
from lab.verify.verifying import verify
from producers.fleet import Fleet
from producers.fleet import Progress as Step
from producers.plan import Plan
from producers.store import Store
from runtime.broker import Administration
from runtime.workers.signals import Stop
from schemas.topology import DEAD

#: Seconds for the work queues to become empty before the proof.
_VERIFY_TIMEOUT = 60.0
_NAME = "statesys demo"


class Demo:
    """One demo.

    Args:
        plan: what it does.
        servers: the demo's own, empty.
        display: shows how far it is.
        stop: ends it in good order; looked at between the steps.
    """

    def __init__(self, plan: DemoPlan, servers: Servers, display: Display, stop: Stop) -> None:
        self._plan = plan
        self._servers = servers
        self._display = display
        self._stop = stop

    def run(self) -> Summary:
        """Publish with faults, resync until nothing is missing, prove it, count.

        Raises:
            click.Abort: it was stopped.
            StatesysError: a worker died, or nothing moved.
        """
        started = time.monotonic()
        plan = self._plan
        fleet_plan = Plan(
            clients=plan.clients, messages=plan.messages, seed=plan.seed, faults=plan.faults
        )
        self._display.step("preparing", "clients")
        now = datetime.now(UTC)
        with Store(plan.fleet, seed=plan.seed, clients=plan.clients, now=now) as store:
            with Workers(self._servers, plan.directory) as workers:
                self._live(store, fleet_plan, workers)
                self._display.step("verifying", "every message and every state")
                problems = self._prove()
                self._display.step("stopping", "relay and loader")
                workers.stop()
            return self._count(store, problems, seconds=time.monotonic() - started)

    def _live(self, store: Store, plan: Plan, workers: Workers) -> None:
        """Everything that the clients do."""
        url = self._servers.amqp_url

        def show(step: Step) -> None:
            # Without a worker, all that is published after its end would only be published.
            workers.check()
            self._display.fleet(step)

        with (
            Queries.open(self._servers.database_url, name=_NAME) as queries,
            Fleet(store, url, plan, stop=self._stop, on_progress=show) as fleet,
        ):

            def answer(step: str) -> None:
                arrived = Convergence(
                    store,
                    queries,
                    check=workers.check,
                    tell=lambda state: self._display.step(step, state),
                )
                fleet.answer_requests(until=arrived.reached)

            fleet.publish_cycles(self._plan.cycles)
            # A lost last report shows with the next message.
            fleet.heartbeat_all()
            answer("loading and resyncing")
            # Everybody is heard of once more, after all faults.
            fleet.heartbeat_all()
            answer("loading the last heartbeats")
        self._look_for_stop()

    def _prove(self) -> tuple[str, ...]:
        """What breaks the promise; nothing, if all goes well."""

        def pause(seconds: float) -> None:
            self._stop.wait(seconds)
            self._look_for_stop()

        outcome = verify(self._plan.fleet, self._servers, timeout=_VERIFY_TIMEOUT, pause=pause)
        if outcome.tally is None:
            return (f"still on the way: {outcome.backlog}",)
        return (*outcome.tally.problems, *outcome.tally.offenders)

    def _count(self, store: Store, problems: tuple[str, ...], *, seconds: float) -> Summary:
        with (
            Administration(self._servers.amqp_url, name=_NAME) as admin,
            Queries.open(self._servers.database_url, name=_NAME) as queries,
        ):
            depth = admin.depth(DEAD)
            return Summary(
                sent=store.totals(),
                faults=store.injected_by_kind(),
                counts=queries.closing_counts(),
                refused=0 if depth is None else depth.ready,
                problems=problems,
                seconds=seconds,
            )

    def _look_for_stop(self) -> None:
        if self._stop.is_set():
            raise click.Abort
