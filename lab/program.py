"""A worker in its own process, as an operator would start it."""

import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from runtime.settings import environment
from schemas.errors import StatesysError

#: Seconds after SIGTERM in which a worker has to finish what it holds.
STOP_WITHIN = 30
#: Lines of a dead worker's log that the error message shows.
_TAIL = 15


class Program:
    """A `statesys` command in a child process, which the caller has to `stop`.

    Args:
        arguments: of the command, such as ("relay", "run"); the first one names it in messages.
        log: file that stdout and stderr are appended to.
        settings: for its environment, by their names without the prefix.
    """

    def __init__(self, *arguments: str, log: Path, settings: Mapping[str, object]) -> None:
        self.name = arguments[0]
        self.log = log
        self._asked = False
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "statesys", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(**settings),
                # Ctrl-C must reach only this process, which stops its workers in order.
                start_new_session=True,
            )

    def check(self) -> None:
        """Check that the process is alive.

        Raises:
            StatesysError: it has ended; the message has the end of its log.
        """
        code = self.process.poll()
        if code is not None:
            raise self._ended(code)

    def ask_to_stop(self) -> None:
        """Send SIGTERM once: the worker finishes what it holds. A second one ends it at once."""
        if not self._asked and self.process.poll() is None:
            self._asked = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Send SIGTERM and wait for the end; kill the process when that takes too long.

        Raises:
            StatesysError: it did not end in time, or ended with another code than 0.
        """
        self.ask_to_stop()
        try:
            code = self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            raise StatesysError(
                f"the {self.name} did not stop within {STOP_WITHIN} s; it was killed"
            ) from None
        finally:
            self.kill()
        if code != 0:
            raise self._ended(code)

    def kill(self) -> None:
        """Kill the process, unless it has ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _ended(self, code: int) -> StatesysError:
        try:
            with self.log.open(encoding="utf-8", errors="replace") as log:
                last = "".join(deque(log, _TAIL)).rstrip()
        except OSError as error:
            last = f"(none: {error})"
        return StatesysError(f"the {self.name} ended with {code}; its last lines:\n{last}")
