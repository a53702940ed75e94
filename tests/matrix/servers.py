"""The site's own RabbitMQ and PostgreSQL, killed, stopped, restarted and put under alarm."""

import os
import signal
import subprocess
from pathlib import Path

from runtime import services
from runtime.services import Endpoints, ServicesError, processes, programs, registry
from runtime.services.polling import until
from runtime.services.processes import Process
from runtime.services.rabbitmq import Server

#: Seconds for a server to end, or to be up again, on a busy machine.
_PATIENCE = 120.0


class Servers:
    """Private servers in a directory of their own.

    Args:
        home: their directory; they are started in it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.endpoints: Endpoints = services.up(home)

    def close(self, *, purge: bool) -> None:
        """Stop both; with `purge` nothing is left of them."""
        services.down(self._home, purge=purge)

    @property
    def broker(self) -> Process:
        """RabbitMQ's process."""
        return _there(self._kept.rabbitmq.process)

    @property
    def database(self) -> Process:
        """PostgreSQL's main process."""
        return _there(self._kept.postgres.process)

    def kill(self, server: Process) -> None:
        """SIGKILL, and wait until not even a zombie is left, which pg_ctl takes for a server."""
        processes.kill(server)
        proc = Path(f"/proc/{server.pid}")
        _must(until(lambda: not proc.exists(), seconds=_PATIENCE), f"{server} would not die")

    def stop(self, server: Process, how: signal.Signals) -> None:
        """Ask a server to end in order (PostgreSQL: SIGINT is a fast shutdown), and wait."""
        os.kill(server.pid, how)
        _must(until(lambda: not processes.alive(server), seconds=_PATIENCE), f"{server} goes on")

    def up_again(self) -> None:
        """Start what does not run; a killed PostgreSQL first has to lose its last children."""

        def started() -> bool:
            try:
                return services.up(self._home) == self.endpoints
            except ServicesError:
                return False

        _must(until(started, seconds=_PATIENCE), "the servers do not come up again")

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
