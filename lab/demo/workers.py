"""The demo's workers: a relay and a loader as the processes that an operator would start."""

from pathlib import Path
from typing import Self

import click

from lab.program import Program
from lab.servers import Servers
from runtime.closing import close_in_order
from schemas.errors import StatesysError

#: By default a message counts as missing after two days, which is too long for a demo.
_COMMANDS = (
    "relay run",
    "loader run --resync-check-interval 2s --min-missing-message-age 3s --resync-merge-interval 0s",
)


class DemoWorkers:
    """Both workers; a context manager that stops them when an error ends it.

    Without an error, the caller has to `stop` them.

    Args:
        servers: given to them in their environment.
        directory: for their logs, which are overwritten.
    """

    def __init__(self, servers: Servers, directory: Path) -> None:
        self._directory = directory
        # `statesys health` looks for heartbeat files in the home.
        self._settings = {"home": directory, **servers._asdict()}
        self._running: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if error is None:
            return
        # The first error is the one to raise.
        try:
            self.stop()
        except StatesysError as second:
            click.echo(f"also: {second}", err=True)

    def start(self) -> None:
        """Start both."""
        for command in _COMMANDS:
            role, *arguments = command.split()
            log = self._directory / f"{role}.log"
            log.unlink(missing_ok=True)
            self._running.append(Program(role, *arguments, log=log, settings=self._settings))

    def check(self) -> None:
        """Check that both are alive.

        Raises:
            StatesysError: one has ended; the message has the end of its log.
        """
        for program in self._running:
            program.check()

    def stop(self) -> None:
        """Send SIGTERM to both, and wait until they have finished what they hold.

        Raises:
            StatesysError: one did not end in time, or ended with another code than 0.
        """
        running, self._running = self._running, []
        for program in running:
            program.ask_to_stop()
        close_in_order(*(program.stop for program in running))
