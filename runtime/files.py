"""Files and directories with permissions of our choice, whatever the umask is."""

import os
from pathlib import Path


def write_private(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a new file with these permissions; it never exists with wider ones."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)


def directory(path: Path, *, mode: int = 0o700) -> None:
    """Make a directory if it is missing, and set its permissions in any case."""
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(mode)


def our_directory(path: Path) -> None:
    """Make a directory and its missing parents; only their owner may write there.

    The umask decides who may read them.
    """
    for above in reversed(path.parents):
        if not above.exists():
            above.mkdir(mode=0o755, exist_ok=True)
    path.mkdir(mode=0o755, exist_ok=True)


def sync(path: Path) -> None:
    """Write a file's content, or a directory's names, to disk, so that a power cut keeps them."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
