"""One process owns a store."""

import fcntl
import os
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
        # Not "w": the file is the owner's until we have the lock.
        self._file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise StatesysError(
                f"the fleet in {path.parent} is in use by process {owner}; "
                "stop that one, or give this fleet a directory of its own with --fleet"
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Give the store free; again is harmless."""
        self._file.close()
