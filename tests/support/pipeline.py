"""A small fleet and the workers, for tests that need data to read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from producers.fleet import Fleet
from producers.plan import Plan
from producers.store import Store, StoreReader
from tests.support import commands

CLIENTS = 20


@dataclass(frozen=True)
class Pipeline:
    """A fleet on its servers.

    Attributes:
        fleet: directory of the store.
        environment: of commands; names the servers.
    """

    fleet: Path
    environment: dict[str, str]

    def publish(self, *, cycles: int = 2, heartbeat: bool = True, **faults: float) -> None:
        """Run some forward cycles and publish everything."""
        now = datetime.now(UTC)
        with Store(self.fleet, seed=1, clients=CLIENTS, now=now) as store:
            plan = Plan(clients=CLIENTS, messages=3, seed=1, faults=faults)
            with Fleet(store, self.environment["STATESYS_AMQP_URL"], plan) as fleet:
                fleet.publish_cycles(cycles)
                if heartbeat:
                    fleet.heartbeat_all()
                fleet.drain()

    def work(self) -> None:
        """Run a relay and a loader until their queues are empty."""
        for worker in ("relay", "loader"):
            done = commands.run(worker, "run", "--exit-when-empty", env=self.environment)
            assert done.returncode == 0, done.stderr

    def sent(self) -> int:
        """The number of messages that the fleet numbered."""
        with StoreReader(self.fleet) as store:
            return store.totals().messages

    def damaged(self, fault: str) -> tuple[UUID, int, int]:
        """Client, first and last serial of a report that met a fault."""
        with StoreReader(self.fleet) as store:
            found = next(f for f in store.injected() if f.fault == fault)
            return found.client_id, found.first_serial, found.last_serial
