"""A disk that can be full: an extra file system in memory, whose size is changed on demand."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.devserver.place import Account
from runtime.devserver.processes import until
from schemas.errors import StatesysError

#: MiB, more than a long soak writes. Only the content takes memory.
_SIZE = 4096
#: Seconds to find a moment without writes, in which the disk can shrink to its content.
_PATIENCE = 10.0
_MIB = 1024 * 1024


class Disk:
    """A mounted file system.

    Args:
        where: directory that it is mounted on; created when it does not exist.
        account: its owner.

    Raises:
        StatesysError: it cannot be mounted here; the message says why.
    """

    def __init__(self, where: Path, account: Account) -> None:
        self._where = where
        where.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE}m,mode=0700", "statesys-soak", where)
        account.own(where)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no free space until the end of the block.

        The disk shrinks to its content, as if another program had filled the rest.

        Raises:
            StatesysError: writes went on, so that some space stayed free.
        """
        try:
            if not until(self._shrunk, seconds=_PATIENCE):
                raise StatesysError(f"{self._where} could not be filled")
            yield
        finally:
            self._resize(_SIZE * _MIB)

    def close(self, *, keep: bool) -> None:
        """Unmount it; with `keep` its files stay in the directory."""
        kept = self._where.with_name(f"{self._where.name}.kept")
        if keep:
            _run("cp", "--archive", self._where, kept)
        _run("umount", self._where)
        if keep:
            self._where.rmdir()
            kept.rename(self._where)

    def _shrunk(self) -> bool:
        found = os.statvfs(self._where)
        try:
            self._resize((found.f_blocks - found.f_bfree) * found.f_frsize)
        except StatesysError:
            # The content has grown since it was measured.
            return False
        found = os.statvfs(self._where)
        return found.f_bavail == 0

    def _resize(self, size: int) -> None:
        _run("mount", "-o", f"remount,size={size}", self._where)


def why_none(directory: Path) -> str:
    """Say why no such disk can be mounted here; empty if it can.

    Args:
        directory: to try it in.
    """
    try:
        Disk(directory / "disk", Account()).close(keep=False)
    except StatesysError as error:
        return f"no file system can be mounted here, which takes root ({error})"
    return ""


def _run(*command: str | Path) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise StatesysError(f"there is no {command[0]} here") from None
    if done.returncode != 0:
        raise StatesysError(f"{command[0]}: {(done.stderr or done.stdout).strip()}")
