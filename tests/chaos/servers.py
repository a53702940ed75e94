"""The site's own RabbitMQ and PostgreSQL, killed, stopped, restarted and put under alarm."""

import os
import signal
import threading
import time
from pathlib import Path

import psycopg

from runtime import devserver
from runtime.broker import Administration
from runtime.broker.management import queue_statistics
from runtime.devserver import Endpoints, ServicesError, processes, registry
from runtime.devserver.processes import until
from runtime.process_identity import Process, alive
from schemas.errors import BrokerUnavailable
from tests.support.brokers import rabbitmqctl

#: Seconds for a server to end, or to be up again, on a busy machine.
_PATIENCE = 120.0


class Servers:
    """Private servers in a directory of their own; the constructor starts them.

    Args:
        home: their directory.

    Attributes:
        home: the same.
        endpoints: their addresses.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.endpoints: Endpoints = devserver.up(home)

    def close(self, *, purge: bool) -> None:
        """Stop both; `purge` deletes their data too."""
        devserver.down(self.home, purge=purge)

    @property
    def nodes(self) -> int:
        """How many brokers there are."""
        return len(self._kept.brokers)

    @property
    def broker(self) -> Process:
        """The process of RabbitMQ, or of its first node."""
        return self.node(1)

    def node(self, number: int) -> Process:
        """The process of one broker, from 1."""
        return _there(self._kept.brokers[number - 1].process)

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
        _must(until(lambda: not alive(server), seconds=_PATIENCE), f"{server} goes on")

    def up_again(self) -> float:
        """Start the stopped servers; retry until the last children of a killed one have ended.

        Returns:
            Seconds since 1970: when both accepted connections again.
        """

        def started() -> bool:
            try:
                return devserver.up(self.home) == self.endpoints
            except ServicesError:
                return False

        # `up` returns later than that: it also waits for services that no worker needs.
        starting = threading.Thread(target=lambda: until(started, seconds=_PATIENCE))
        starting.start()
        there = self.await_answers()
        starting.join()
        _must(started(), "the servers do not come up again")
        return there

    def delete_leaderless(self) -> list[str]:
        """Delete our queues that have no leader, as docs/operations.md tells operators.

        Returns:
            Their names; the broker has lost what was in them.
        """
        urls = self.endpoints
        found = queue_statistics(urls.management_url, urls.amqp_url) or {}
        names = [name for name, queue in found.items() if not queue.available]
        for name in names:
            self.rabbitmqctl("delete_queue", name)
        return names

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

    def rabbitmqctl(self, *arguments: str, node: int = 1) -> None:
        """Run a broker's own tool, for settings that have no API."""
        rabbitmqctl(self._kept, *arguments, node=node)

    @property
    def _kept(self) -> registry.Services:
        found = registry.load(self.home)
        assert found is not None
        return found


def _there(process: Process | None) -> Process:
    assert process is not None
    return process


def _must(held: bool, problem: str) -> None:
    if not held:
        raise ServicesError(problem)
