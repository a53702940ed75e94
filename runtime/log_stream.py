"""The stream of the log: lines that cannot be written are counted, and work goes on.

Everything that Python writes to stderr passes through here: log lines of any thread, progress,
messages of commands, warnings, tracebacks. A full disk, a reader that has ended and a closed
descriptor would raise an error in the middle of other work. A reader that does not read would
block a thread without limit. Logging must not disturb the work, so a write here always succeeds.
Lines that could not be written are counted, and one line reports their number as soon as the
stream accepts lines again.
"""

import io
import os
import select
import stat
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

#: Seconds that all lines together may wait for a slow reader with a full pipe, before lines are
#: lost; and how much of this budget a second gives back. So a slow reader costs 1/60 of the time.
_PATIENCE, _REGAINED = 1.0, 1 / 60


class Unwritten(NamedTuple):
    """Lines that could not be written, and the time of the first (UTC)."""

    lines: int
    since: datetime


class LogStream(io.RawIOBase):
    """A binary stream on a descriptor; `write` never raises, and waits a second at most.

    Attributes:
        describe: renders the line that reports lost lines.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = _not_blocking(descriptor)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._lock = threading.Lock()
        self._unwritten: Unwritten | None = None
        # Whether the last line was written in part.
        self._torn = False
        self._patience, self._measured_at = _PATIENCE, time.monotonic()
        self.describe: Callable[[Unwritten], str] = _in_words

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Write the lines, or count them if they cannot be written."""
        text = bytes(data)
        with self._lock:
            if not (self._report_losses() and self._put(text)):
                lines, since = self._unwritten or Unwritten(0, datetime.now(UTC))
                self._unwritten = Unwritten(lines + max(1, text.count(b"\n")), since)
        return len(text)

    def unwritten(self) -> Unwritten | None:
        """The lost lines that were not reported yet; first tries to report them."""
        with self._lock:
            self._report_losses()
            return self._unwritten

    def writable(self) -> bool:
        """Always true."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def _report_losses(self) -> bool:
        """Report lost lines; whether none is left to report."""
        if self._unwritten is not None:
            line = self.describe(self._unwritten) + "\n"
            if self._put(line.encode("utf-8", "backslashreplace")):
                self._unwritten = None
        return self._unwritten is None

    def _put(self, text: bytes) -> bool:
        """Write all of the text; whether that was possible."""
        left = b"\n" + text if self._torn else text
        while left:
            if not self._ready():
                return False
            try:
                # A pipe with room takes this much at once.
                written = os.write(self._descriptor, left[: select.PIPE_BUF])
            except OSError:
                return False
            left = left[written:]
            self._torn = bool(left)
        return True

    def _ready(self) -> bool:
        """Whether the stream accepts a write; waits for it within the budget."""
        now = time.monotonic()
        self._patience = min(_PATIENCE, self._patience + (now - self._measured_at) * _REGAINED)
        ready = bool(self._poll.poll(self._patience * 1000))
        self._measured_at = time.monotonic()
        self._patience = max(0.0, self._patience - (self._measured_at - now))
        return ready


def _behind_stderr() -> LogStream | None:
    stream = getattr(sys.stderr, "buffer", None)
    return stream if isinstance(stream, LogStream) else None


_written_to: Callable[[], LogStream | None] = _behind_stderr


def log_to(stream: Callable[[], LogStream | None]) -> None:
    """Say which stream the log of this process goes to, from now on."""
    global _written_to  # noqa: PLW0603 (as stderr, it is one for the process)
    _written_to = stream


def log_stream() -> LogStream | None:
    """The stream of the log, behind stderr by default; None when the program set none up."""
    return _written_to()


def unwritten_lines() -> Unwritten | None:
    """The lines of this process's log that were lost and not reported yet."""
    stream = log_stream()
    return None if stream is None else stream.unwritten()


def _not_blocking(descriptor: int) -> int:
    """A descriptor of our own for a pipe or terminal, on which no write blocks.

    Several processes may write to one pipe: one can fill it between another's poll and write. A
    terminal reports room when it has room for one character, and the rest of the line then waits.
    The processes share stderr's descriptor, and to make that one non-blocking would affect all.
    """
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor):
            ours = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
            return os.open(f"/dev/fd/{descriptor}", ours)
    except OSError:
        # No reader, or a pipe of another user: the first write will show whether it works.
        pass
    return descriptor


def _in_words(unwritten: Unwritten) -> str:
    since = unwritten.since.isoformat(timespec="seconds")
    return f"{unwritten.lines} lines since {since} could not be written here and are lost"
