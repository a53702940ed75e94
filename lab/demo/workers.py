"""The demo's workers: a relay and a loader as the processes that an operator would start."""

from pathlib import Path
from typing import Self

import click

from console.servers import Servers
from lab.program import Program
from runtime.closing import close_in_order
from schemas.errors import StatesysError

#: By default a message counts as missing after two days, which is too long for a demo.
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
    """Both workers; a context manager that stops them when an error ends it.

    Without an error, the caller has to `stop` them.

    Args:
        servers: given to them in their environment.
        directory: for their logs, which are overwritten.
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
        # The first error is the one to raise.
        try:
            self.stop()
        except StatesysError as second:
            click.echo(f"also: {second}", err=True)

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

    def _start(self, name: str, arguments: tuple[str, ...]) -> Program:
        log = self._directory / f"{name}.log"
        log.unlink(missing_ok=True)
        return Program(
            *arguments,
            log=log,
            settings={
                # For `statesys health`, which looks there for heartbeat files.
                "home": self._directory,
                **self._servers._asdict(),
            },
        )

    def _kill(self) -> None:
        close_in_order(*(program.kill for program in self._running))
