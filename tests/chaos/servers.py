"""The site's own RabbitMQ and PostgreSQL, killed, stopped, restarted and put under alarm."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import psycopg

from runtime import devserver
from runtime.broker import Administration
from runtime.devserver import Endpoints, ServicesError, processes, programs, registry
from runtime.devserver.processes import Process, until
from runtime.devserver.rabbitmq import Server
from schemas.errors import BrokerUnavailable

#: Seconds for a server to end, or to be up again, on a busy machine.
_PATIENCE = 120.0


class Servers:
    """Private servers in a directory of their own; the constructor starts them.

    Args:
        home: their directory.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.endpoints: Endpoints = devserver.up(home)

    def close(self, *, purge: bool) -> None:
        """Stop both; `purge` deletes their data too."""
        devserver.down(self._home, purge=purge)

    @property
    def broker(self) -> Process:
        """RabbitMQ's process."""
        return _there(self._kept.rabbitmq.process)

    @property
    def database(self) -> Process:
        """PostgreSQL's main process."""
        return _there(self._kept.postgres.process)

    def kill(self, server: Process) -> None:
        """Send SIGKILL, and wait for the end; PostgreSQL takes even a zombie for a server."""
        processes.kill(server)
        self.await_end_of(server.pid)

    def stop(self, server: Process, how: signal.Signals) -> None:
        """Shut a server down in order (PostgreSQL: SIGINT is a fast shutdown), and wait."""
        os.kill(server.pid, how)
        _must(until(lambda: not processes.alive(server), seconds=_PATIENCE), f"{server} goes on")

    def up_again(self) -> float:
        """Start the stopped servers; retry until the last children of a killed one have ended.

        Returns:
            Seconds since 1970: when both accepted connections again.
        """

        def started() -> bool:
            try:
                return devserver.up(self._home) == self.endpoints
            except ServicesError:
                return False

        # `up` returns later than that: it also waits for services that no worker needs.
        starting = threading.Thread(target=lambda: until(started, seconds=_PATIENCE))
        starting.start()
        there = self.await_answers()
        starting.join()
        _must(started(), "the servers do not come up again")
        return there

    def await_answers(self) -> float:
        """Wait until both accept connections.

        Returns:
            Seconds since 1970: when they did.
        """
        _must(until(self._answer, seconds=_PATIENCE), "the servers do not answer")
        return time.time()

    def await_end_of(self, pid: int) -> None:
        """Wait until a server or its child has ended, its zombie included."""
        proc = Path(f"/proc/{pid}")
        _must(until(lambda: not proc.exists(), seconds=_PATIENCE), f"{pid} would not die")

    def _answer(self) -> bool:
        try:
            psycopg.connect(self.endpoints.database_url, connect_timeout=2).close()
            Administration(self.endpoints.amqp_url, name="matrix").close()
        except (psycopg.OperationalError, BrokerUnavailable):
            return False
        return True

    def rabbitmqctl(self, *arguments: str) -> None:
        """Run the broker's own tool, for settings that have no API."""
        kept = self._kept
        environment = Server(kept.home, kept.rabbitmq)._environment(programs.rabbitmq_server())
        tool = programs.rabbitmq_server().with_name("rabbitmqctl")
        done = subprocess.run(
            [str(tool), *arguments],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        _must(done.returncode == 0, f"rabbitmqctl {arguments}: {done.stdout}{done.stderr}")

    @property
    def _kept(self) -> registry.Services:
        found = registry.load(self._home)
        assert found is not None
        return found


def _there(process: Process | None) -> Process:
    assert process is not None
    return process


def _must(held: bool, problem: str) -> None:
    if not held:
        raise ServicesError(problem)
