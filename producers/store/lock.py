"""The lock that lets one process own a store."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from schemas.errors import StatesysError


class StoreLock:
    """An exclusive lock on a store; the kernel releases it when the process dies.

    Args:
        path: of the lock file, which holds the owner's process id. It is created and never deleted.

    Raises:
        StatesysError: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        # Unbuffered, so that closing it writes nothing. Not "w", which would delete the process id
        # of another owner.
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
        # The process id is for the error message only; the lock also holds on a full disk.
        with suppress(OSError):
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Release the lock; further calls do nothing."""
        self._file.close()
