"""A whole site: servers, forwarders, two relays, two loaders and a running fleet."""

import json
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

import psycopg

from lab.servers import Servers as Addresses
from loader.migrations import migrate
from producers.store import StoreReader
from runtime.devserver.place import Account, for_postgres
from runtime.devserver.processes import until
from runtime.settings import environment
from schemas.errors import StatesysError
from tests.chaos.disk import Disk
from tests.chaos.forwarder import Forwarder
from tests.chaos.programs import HOSTILE_SETTINGS, WORKERS, fleet_command
from tests.chaos.servers import Servers
from tests.support import commands
from tests.support.processes import Program
from tests.support.world import open_tables

#: A site has two of each, so that one goes on while the other is broken.
RELAYS, LOADERS = ("relay-1", "relay-2"), ("loader-1", "loader-2")
FLEET = "producers"
#: An ordinary user for the loaders, since a missing grant does not stop a superuser.
_USER = "loader"
#: The write-ahead log must not fill a small file system.
_SMALL = ("ALTER SYSTEM SET max_wal_size = '192MB'", "ALTER SYSTEM SET min_wal_size = '64MB'")
#: Seconds for a fleet to start, or a process to end, on a busy machine.
_PATIENCE = 60.0


class Site:
    """One site. A context manager that ends all its processes.

    Args:
        directory: of servers, logs and the fleet's store.
        seed: of the fleet.
        hostile: whether the fleet has hostile clients.
        small_disks: put each server's data on a file system of its own, which can be full.
        database_url: of another database than the site's own; workers reach it without a forwarder.
        reliable: whether no report is lost or damaged on its way.

    Raises:
        StatesysError: such a file system cannot be mounted here.

    Attributes:
        disks: those file systems, by their place in the servers' home.
        lines: forwarders by the role that uses them; "database" is the loaders' second one. With
            several brokers only this one: their connections are cut between the brokers.
        fleet: directory of the fleet's store.
        database_url: of the database, without a forwarder.
        keep: keep the servers' data at the end, to find out what went wrong.
    """

    #: Places of the servers' data in their home, and the owners, for small disks.
    _PLACES: Mapping[str, Callable[[], Account]] = {
        "postgres": for_postgres,
        "rabbitmq/data": Account,
    }

    def __init__(
        self,
        directory: Path,
        *,
        seed: int,
        hostile: bool = False,
        small_disks: bool = False,
        database_url: str | None = None,
        reliable: bool = False,
    ) -> None:
        self.directory = directory
        self.hostile = hostile
        self.fleet = directory / "fleet"
        self.seed = seed
        self._reliable = reliable
        self.keep = False
        home = directory / "home"
        self.disks: dict[str, Disk] = {}
        try:
            if small_disks:
                for place, account in self._PLACES.items():
                    self.disks[place] = Disk(home / place, account())
            self.servers = self._start_servers(home)
        except BaseException:
            for disk in self.disks.values():
                disk.close(keep=False)
            raise
        self.database_url = database_url or self.servers.endpoints.database_url
        self.lines: dict[str, Forwarder] = {}
        self._programs: dict[str, Program] = {}
        # Size of each log when its program started.
        self._begun: dict[str, int] = {}
        try:
            migrate(self.database_url)
            self.tell_database(
                f"CREATE ROLE {_USER} LOGIN PASSWORD '{_USER}' IN ROLE statesys",
                *(_SMALL if small_disks else ()),
                "SELECT pg_reload_conf()",
            )
            if self.servers.nodes == 1:
                for name in ("relay", "loader", FLEET):
                    self.lines[name] = Forwarder(self.servers.endpoints.amqp_url)
            if database_url is None:
                self.lines["database"] = Forwarder(self.database_url)
            for name in (*RELAYS, *LOADERS):
                self.start(name)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything that this site started."""
        for program in self._programs.values():
            # SIGKILL, since a stopped process does not react to SIGTERM.
            program.process.kill()
            program.process.wait()
        for line in self.lines.values():
            line.__exit__(None, None, None)
        self.servers.close(purge=False)
        for disk in self.disks.values():
            disk.close(keep=self.keep)
        if not self.keep:
            self.servers.close(purge=True)

    def _start_servers(self, home: Path) -> Servers:
        return Servers(home)

    @property
    def addresses(self) -> Addresses:
        """The servers' own addresses, without forwarders."""
        endpoints = self.servers.endpoints
        # Without the management API: its counts of unacked messages are seconds old.
        return Addresses(endpoints.amqp_url, self.database_url, None)

    def start(self, name: str) -> None:
        """Start a program of this site, as a supervisor would; its log is appended to."""
        role = name.partition("-")[0]
        command = WORKERS.get(role) or fleet_command(
            self.fleet, seed=self.seed, hostile=self.hostile, reliable=self._reliable
        )
        broker, database = self.lines.get(role), self.lines.get("database")
        log = self.directory / f"{name}.log"
        self._begun[name] = log.stat().st_size if log.exists() else 0
        self._programs[name] = Program(
            log,
            *command,
            home=self.directory / "home",
            amqp_url=broker.url if broker else self.servers.endpoints.amqp_url,
            database_url=_as_user(database.url if database else self.database_url),
            **(HOSTILE_SETTINGS if self.hostile else {}),
        )

    def await_work(self) -> None:
        """Wait until relays and loaders consume, as a starting worker ends without a server.

        Raises:
            StatesysError: one does not consume.
        """
        for name in (*RELAYS, *LOADERS):
            if not until(partial(self._consumes, name), seconds=_PATIENCE):
                self.check()
                raise StatesysError(f"{name} does not begin to consume")

    def _consumes(self, name: str) -> bool:
        log = self._programs[name].log.read_bytes()
        return b".consuming" in log[self._begun[name] :]

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program."""
        self._programs[name].send(number)

    def end(self, name: str) -> int:
        """Wait for a program's end, and return the exit code."""
        return self._programs[name].end()

    def check(self) -> None:
        """Check that every worker runs, and that no program has crashed.

        Raises:
            StatesysError: with the end of its log.
        """
        for name, program in self._programs.items():
            ended = name != FLEET and program.process.poll() is not None
            if ended or "Traceback" in program.text:
                end = "\n".join(program.text.splitlines()[-15:])
                raise StatesysError(f"{name} has crashed or ended:\n{end}")

    def live(self) -> None:
        """Start the fleet, and wait until it numbers messages."""
        before = self.numbered()
        self.start(FLEET)
        self.await_numbered(before + 1)

    def stop_living(self) -> None:
        """Stop the fleet in order, which frees its store."""
        self.send(FLEET, signal.SIGTERM)
        code = self.end(FLEET)
        if code != 0:
            raise StatesysError(f"the fleet ended with {code}")

    def numbered(self) -> int:
        """The number of messages that the fleet has numbered."""
        try:
            with StoreReader(self.fleet) as store:
                return store.totals().messages
        except StatesysError:
            # The store does not exist yet.
            return 0

    def await_numbered(self, messages: int) -> None:
        """Wait until the fleet has numbered this many messages."""
        if not until(lambda: self.numbered() >= messages, seconds=_PATIENCE):
            raise StatesysError(f"waited {_PATIENCE:g} s for {messages} messages of the fleet")

    def pids(self) -> dict[str, int]:
        """The process of each program."""
        return {name: program.process.pid for name, program in self._programs.items()}

    def require_same(self, pids: Mapping[str, int]) -> None:
        """Check that the same processes as before still run, the fleet's included.

        Raises:
            StatesysError: one has ended.
        """
        ended = [name for name, one in self._programs.items() if one.process.poll() is not None]
        if ended or self.pids() != pids:
            raise StatesysError(f"not the same processes as before; ended: {ended}")
        self.check()

    def await_health(self, roles: Sequence[str], *, well: bool) -> None:
        """Wait until `statesys health` reports all workers of these roles as wanted.

        Args:
            well: whether all of them are to be healthy, or all of them in trouble.

        Raises:
            StatesysError: with its last output.
        """
        wanted = "healthy" if well else "in trouble"
        for role in roles:
            if not until(partial(self._tells, role, well=well), seconds=_PATIENCE):
                said = self._health(role)[1]
                raise StatesysError(f"health does not tell that each {role} is {wanted}: {said}")

    def _tells(self, role: str, *, well: bool) -> bool:
        code, said = self._health(role)
        troubles = [one["problem"] for one in said]
        both = len(said) == len(RELAYS) == len(LOADERS)
        return both and (code == 0 if well else code == 1 and all(troubles))

    def _health(self, role: str) -> tuple[int, list[Any]]:
        env = environment(home=self.directory / "home")
        done = commands.run("health", role, "--json", env=env)
        return done.returncode, json.loads(done.stdout or "[]")

    def await_progress(self, since: float, *, received: bool) -> float:
        """Wait until a loader has committed a chunk.

        Args:
            since: seconds since 1970; earlier commits do not count.
            received: whether the chunk must have a report that a relay took since then.

        Returns:
            Seconds from `since` until the commit was visible.
        """
        column = "received_at" if received else "loaded_at"
        rows = f"SELECT FROM statesys.state_message WHERE {column} > to_timestamp(%s)"
        with psycopg.connect(self.database_url, autocommit=True) as connection:

            def moved() -> bool:
                row = connection.execute(f"SELECT EXISTS ({rows})", [since]).fetchone()
                return row is not None and bool(row[0])

            if not until(moved, seconds=_PATIENCE):
                raise StatesysError(f"no progress within {_PATIENCE:g} s of the server's return")
        return time.time() - since

    def stored(self) -> int:
        """The number of numbered messages in the history, each counted once."""
        with open_tables(self.database_url) as tables:
            query = "SELECT count(DISTINCT (client_id, serial)) FROM state_message"
            ((count,),) = tables.rows(query)
            return int(count)

    def await_stored(self, messages: int) -> None:
        """Wait until the history has this many messages."""
        if not until(lambda: self.stored() >= messages, seconds=_PATIENCE):
            raise StatesysError(f"waited {_PATIENCE:g} s for {messages} messages in the history")

    def reported(self) -> set[UUID]:
        """Clients with a duplicate identity."""
        return self._clients("SELECT client_id FROM client WHERE duplicate_identity_at IS NOT NULL")

    def asked(self) -> set[UUID]:
        """Clients with an open missing range or an open request."""
        return self._clients(
            "SELECT client_id FROM missing_message_range WHERE closed_at IS NULL "
            "UNION SELECT client_id FROM resync_request WHERE closed_at IS NULL"
        )

    def _clients(self, query: str) -> set[UUID]:
        with open_tables(self.database_url) as tables:
            return {client_id for (client_id,) in tables.rows(query)}

    def tell_database(self, *statements: str) -> None:
        """Run statements as PostgreSQL's superuser, without a forwarder."""
        # The statements must work even if new transactions are read-only by default.
        options = "-c default_transaction_read_only=off"
        with psycopg.connect(self.database_url, autocommit=True, options=options) as connection:
            for statement in statements:
                connection.execute(statement)

    def backends(self) -> list[int]:
        """Process ids of the loaders' sessions in PostgreSQL."""
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'statesys loader%'"
            ).fetchall()
        return [pid for (pid,) in rows]


def lasts(seconds: float) -> None:
    """Let a fault last. There is no event to wait for instead."""
    threading.Event().wait(seconds)


def _as_user(url: str) -> str:
    """Put the loaders' user into a database URL."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{_USER}:{_USER}@{host}").geturl()
