"""A worker as a process of its own, as an operator would start it."""

import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from runtime.settings import environment
from schemas.errors import StatesysError

#: Seconds that a worker has for what it holds after SIGTERM.
STOP_WITHIN = 30
#: Lines of a log that are shown when its worker died.
_TAIL = 15


class Program:
    """A `statesys` command that runs beside this process. Whoever starts it has to `stop` it.

    Args:
        arguments: of the command, such as ("relay", "run"); the first one names it in messages.
        log: takes what it writes, stdout and stderr; appended to where it exists.
        settings: of its environment, by their names without the prefix.
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
                # Ctrl-C is for us, and we stop our workers in order.
                start_new_session=True,
            )

    def check(self) -> None:
        """See that it is alive.

        Raises:
            StatesysError: it is not; the message has the end of its log.
        """
        code = self.process.poll()
        if code is not None:
            raise self._ended(code)

    def ask_to_stop(self) -> None:
        """SIGTERM, once: it finishes what it holds. A second one would end it at once."""
        if not self._asked and self.process.poll() is None:
            self._asked = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """SIGTERM, and wait for its end; kill it when that takes too long.

        Raises:
            StatesysError: it did not end in time, or not with 0.
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
        """End it at once; nothing where it has ended."""
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
