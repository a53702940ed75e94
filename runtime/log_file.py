"""A log file that is replaced when it is full: `statesys.log`, before it `statesys.lo_`.

Several processes may append to one file. A write never raises: logging must not disturb the work.
Lines that cannot be written are counted by the stream below, which reports their number.
"""

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path

from runtime.log_stream import LogStream
from schemas.errors import SettingsError


class LogFile:
    """Appends lines to a file.

    Args:
        path: of the file; its directory is created.
        max_size: bytes at which the file is replaced.

    Raises:
        SettingsError: the file cannot be written.
    """

    def __init__(self, path: Path, max_size: int) -> None:
        self._path = path
        self._max_size = max_size
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._open()
        except OSError as error:
            raise SettingsError(
                f"STATESYS_LOG_FILE (or its flag): cannot write {path}: {error.strerror}"
            ) from None
        self._stream = LogStream(self._descriptor)

    @property
    def stream(self) -> LogStream:
        """The stream of the file as it is now."""
        return self._stream

    def write(self, line: str) -> None:
        """Append lines; first replace the file when they would make it too large."""
        data = line.encode("utf-8", "backslashreplace")
        with self._lock:
            # If that fails, the old file goes on, too large: better than no log.
            with suppress(OSError):
                self._make_room(len(data))
            self._stream.write(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def _make_room(self, size: int) -> None:
        if self._moved():
            self._open_again()
        if self._full(size):
            # Only one process replaces the file. Waiting for it would disturb the work, so this
            # raises BlockingIOError meanwhile.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                if not self._moved():
                    self._path.replace(self._path.with_suffix(".lo_"))
                self._open_again()
            except OSError:
                # The file stays in use, and another process may be able to replace it.
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
                raise

    def _full(self, size: int) -> bool:
        found = os.fstat(self._descriptor).st_size
        return found > 0 and found + size > self._max_size

    def _moved(self) -> bool:
        """Whether the path is another file by now, or none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(self._descriptor)
        return (found.st_ino, found.st_dev) != (ours.st_ino, ours.st_dev)

    def _open_again(self) -> None:
        opened = self._open()
        describe = self._stream.describe
        os.close(self._descriptor)
        self._descriptor = opened
        self._stream = LogStream(opened)
        self._stream.describe = describe

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
