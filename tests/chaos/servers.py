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
    """Private servers in a directory of their own.

    Args:
        home: their directory; they are started in it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.endpoints: Endpoints = devserver.up(home)

    def close(self, *, purge: bool) -> None:
        """Stop both; with `purge` nothing is left of them."""
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
        """SIGKILL, and wait until not even a zombie is left, which PostgreSQL takes for one."""
        processes.kill(server)
        self.await_end_of(server.pid)

    def stop(self, server: Process, how: signal.Signals) -> None:
        """Ask a server to end in order (PostgreSQL: SIGINT is a fast shutdown), and wait."""
        os.kill(server.pid, how)
        _must(until(lambda: not processes.alive(server), seconds=_PATIENCE), f"{server} goes on")

    def up_again(self) -> float:
        """Start what does not run; a killed PostgreSQL first has to lose its last children.

        Returns:
            Seconds since 1970: when both took connections again.
        """

        def started() -> bool:
            try:
                return devserver.up(self._home) == self.endpoints
            except ServicesError:
                return False

        # `up` returns later than that: it also waits for what no worker needs.
        starting = threading.Thread(target=lambda: until(started, seconds=_PATIENCE))
        starting.start()
        there = self.await_answers()
        starting.join()
        _must(started(), "the servers do not come up again")
        return there

    def await_answers(self) -> float:
        """Wait until both take connections.

        Returns:
            Seconds since 1970: when they did.
        """
        _must(until(self._answer, seconds=_PATIENCE), "the servers do not answer")
        return time.time()

    def await_end_of(self, pid: int) -> None:
        """Wait until not even a zombie of a server's child is left."""
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
        """Tell the broker something that only its own tool can tell it."""
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
