"""One process owns a store."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from schemas.errors import StatesysError


class StoreLock:
    """An exclusive lock on a directory; the kernel frees it when its process dies.

    Args:
        path: of the lock file; it is created, holds the owner's process id, and stays.

    Raises:
        StatesysError: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        # Unbuffered, so that closing it writes nothing. Not "w": it may be another owner's.
        self._file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            owner = self._file.read().decode(errors="replace").strip() or "unknown"
            self._file.close()
            raise StatesysError(
                f"the fleet in {path.parent} is in use by process {owner}; "
                "stop that one, or give this fleet a directory of its own with --fleet"
            ) from None
        # Who has it is for people; a full disk takes nothing away from the lock.
        with suppress(OSError):
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the store free; again is harmless."""
        self._file.close()
