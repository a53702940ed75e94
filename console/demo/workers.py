"""The demo's workers: a relay and a loader as the processes that an operator would start."""

import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

import click

from console.servers import Servers
from schemas.errors import StatesysError

#: Seconds that a worker has for what it holds after SIGTERM.
STOP_WITHIN = 30
#: Lines of a log that are shown when its worker died.
_TAIL = 15

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


class Workers:
    """Both workers; a context manager that leaves no process behind.

    Args:
        servers: given to them in their environment.
        directory: takes their logs.
    """

    def __init__(self, servers: Servers, directory: Path) -> None:
        self._servers = servers
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            for name, arguments in COMMANDS.items():
                self._running[name] = self._start(name, arguments)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
        for name, process in self._running.items():
            code = process.poll()
            if code is not None:
                raise self._died(name, code)

    def stop(self) -> None:
        """SIGTERM to both; they finish what they hold.

        Raises:
            StatesysError: one did not end in time, or not with 0.
        """
        try:
            failures = self._stop_all()
        finally:
            self._kill()
            self._running.clear()
        if failures:
            raise failures[0]

    def _stop_all(self) -> list[StatesysError]:
        failures: list[StatesysError] = []
        for process in self._running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for name, process in self._running.items():
            try:
                code = process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                failures.append(
                    StatesysError(f"the {name} did not stop within {STOP_WITHIN} s; it was killed")
                )
            else:
                if code != 0:
                    failures.append(self._died(name, code))
        return failures

    def _start(self, name: str, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "STATESYS_AMQP_URL": self._servers.amqp_url,
            "STATESYS_DATABASE_URL": self._servers.database_url,
            "NO_COLOR": "1",
        }
        with self._log(name).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "statesys", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                # Ctrl-C is for the demo, which stops its workers in order.
                start_new_session=True,
            )

    def _kill(self) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _died(self, name: str, code: int) -> StatesysError:
        with self._log(name).open(encoding="utf-8", errors="replace") as log:
            last = "".join(deque(log, _TAIL)).rstrip()
        return StatesysError(f"the {name} ended with {code}; its last lines:\n{last}")
