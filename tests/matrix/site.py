"""A whole site: servers, lines to them, two relays, two loaders and a living fleet."""

import signal
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from console.servers import Servers as Addresses
from loader.migrations import migrate
from producers.store import open_store
from runtime.services.polling import until
from schemas.errors import StatesysError
from tests.loader.processes import Program
from tests.matrix.forwarder import Forwarder
from tests.matrix.servers import Servers

CLIENTS = 60
#: What a site runs twice, so that one goes on while the other is broken.
RELAYS, LOADERS = ("relay-1", "relay-2"), ("loader-1", "loader-2")
FLEET = "producers"
#: Nobody waits two days for a resync here; small batches and chunks, so that many are in hand.
_COMMANDS = {
    "relay": ("relay", "run", "--batch-size", "8"),
    "loader": (
        *("loader", "run", "--threads", "2", "--chunk-size", "16"),
        *("--resync-check-interval", "1s", "--min-missing-message-age", "2s"),
        *("--resync-merge-interval", "0s"),
    ),
}
#: Lively, and unreliable by itself: what is lost on the way must be found whatever else happens.
_LIFE = (
    *("--clients", str(CLIENTS), "--messages", "4", "--forward-interval", "1s"),
    *("--heartbeat-interval", "5s", "--loss", "0.03", "--duplicate", "0.03"),
    *("--reorder", "0.03", "--corrupt", "0.01"),
)
#: Seconds for a fleet to come to life, or a process to end, on a busy machine.
_PATIENCE = 60.0


class Site:
    """One site. A context manager that leaves no process behind.

    Args:
        directory: of servers, logs and the fleet's store.
        seed: of the fleet.

    Attributes:
        lines: forwarders by whom they serve; "database" is the loaders' other line.
        fleet: directory of the fleet's store.
        keep: leave the servers' data for a look at what went wrong.
    """

    def __init__(self, directory: Path, *, seed: int) -> None:
        self.directory = directory
        self.fleet = directory / "fleet"
        self.seed = seed
        self.keep = False
        self.servers = Servers(directory / "home")
        self.lines: dict[str, Forwarder] = {}
        self._programs: dict[str, Program] = {}
        try:
            migrate(self.servers.endpoints.database_url)
            for name in ("relay", "loader", FLEET):
                self.lines[name] = Forwarder(self.servers.endpoints.amqp_url)
            self.lines["database"] = Forwarder(self.servers.endpoints.database_url)
            for name in (*RELAYS, *LOADERS):
                self.start(name)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything that this site started."""
        for program in self._programs.values():
            # A stopped process would not even die of SIGTERM; this is no place for manners.
            program.process.kill()
            program.process.wait()
        for line in self.lines.values():
            line.__exit__(None, None, None)
        self.servers.close(purge=not self.keep)

    @property
    def addresses(self) -> Addresses:
        """The servers themselves, past all forwarders."""
        endpoints = self.servers.endpoints
        # Without the management API: its counts of unacked messages are seconds old.
        return Addresses(endpoints.amqp_url, endpoints.database_url, None)

    def start(self, name: str) -> None:
        """Start a program of this site, as a supervisor would; its log is appended to."""
        role = name.partition("-")[0]
        if name == FLEET:
            new = () if self.fleet.exists() else ("--seed", str(self.seed))
            command = ("producers", "run", "--fleet", str(self.fleet), *new, *_LIFE)
        else:
            command = _COMMANDS[role]
        self._programs[name] = Program(
            self.directory / f"{name}.log",
            *command,
            amqp_url=self.lines[role].url,
            database_url=self.lines["database"].url,
        )

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program."""
        self._programs[name].send(number)

    def end(self, name: str) -> int:
        """Wait for a program's end; the exit code."""
        return self._programs[name].end()

    def check(self) -> None:
        """See that every program that should run does, and that none has crashed.

        Raises:
            StatesysError: with the end of its log.
        """
        for name, program in self._programs.items():
            ended = name != FLEET and program.process.poll() is not None
            if ended or "Traceback" in program.text:
                end = "\n".join(program.text.splitlines()[-15:])
                raise StatesysError(f"{name} has crashed or ended:\n{end}")

    def live(self) -> None:
        """Bring the fleet to life."""
        before = self.numbered()
        self.start(FLEET)
        self.await_numbered(before + 1)

    def stop_living(self) -> None:
        """Let the fleet end in order; its store is free then."""
        self.send(FLEET, signal.SIGTERM)
        code = self.end(FLEET)
        if code != 0:
            raise StatesysError(f"the fleet ended with {code}")

    def numbered(self) -> int:
        """How many messages the fleet has numbered."""
        try:
            with open_store(self.fleet) as store:
                return store.totals().messages
        except StatesysError:
            # Not made yet.
            return 0

    def await_numbered(self, messages: int) -> None:
        """Wait until the fleet has numbered so many: a moment in its life, not on a clock."""
        if not until(lambda: self.numbered() >= messages, seconds=_PATIENCE):
            raise StatesysError(f"waited {_PATIENCE:g} s for {messages} messages of the fleet")

    def backends(self) -> list[int]:
        """Process ids of the loaders' sessions in PostgreSQL."""
        with psycopg.connect(self.servers.endpoints.database_url) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'statesys loader%'"
            ).fetchall()
        return [pid for (pid,) in rows]


def lasts(seconds: float) -> None:
    """How long a fault lasts. It is no wait for anything: nothing else could end it."""
    threading.Event().wait(seconds)
