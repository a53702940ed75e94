"""The demo's workers: a relay and a loader as the processes that an operator would start."""

from pathlib import Path
from typing import Self

import click

from console.servers import Servers
from lab.program import Program
from runtime.closing import close_in_order
from schemas.errors import StatesysError

#: A demo cannot wait two days until a message counts as missing.
COMMANDS = {
    "relay": ("relay", "run"),
    "loader": (
        "loader",
        "run",
        "--resync-check-interval",
        "2s",
        "--min-missing-message-age",
        "3s",
        "--resync-merge-interval",
        "0s",
    ),
}


class DemoWorkers:
    """Both workers; a context manager that leaves no process behind.

    Args:
        servers: given to them in their environment.
        directory: takes their logs, anew.
    """

    def __init__(self, servers: Servers, directory: Path) -> None:
        self._servers = servers
        self._directory = directory
        self._running: list[Program] = []

    def __enter__(self) -> Self:
        try:
            for name, arguments in COMMANDS.items():
                self._running.append(self._start(name, arguments))
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if error is None:
            return
        # The first error is the one to tell.
        try:
            self.stop()
        except StatesysError as second:
            click.echo(f"also: {second}", err=True)

    def check(self) -> None:
        """See that both are alive.

        Raises:
            StatesysError: one is not; the message has the end of its log.
        """
        for program in self._running:
            program.check()

    def stop(self) -> None:
        """SIGTERM to both; they finish what they hold.

        Raises:
            StatesysError: one did not end in time, or not with 0.
        """
        running, self._running = self._running, []
        for program in running:
            program.ask_to_stop()
        close_in_order(*(program.stop for program in running))

    def _start(self, name: str, arguments: tuple[str, ...]) -> Program:
        log = self._directory / f"{name}.log"
        log.unlink(missing_ok=True)
        return Program(
            *arguments,
            log=log,
            settings={
                # Where `statesys health` looks for them.
                "home": self._directory,
                **self._servers._asdict(),
            },
        )

    def _kill(self) -> None:
        close_in_order(*(program.kill for program in self._running))
