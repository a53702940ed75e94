"""Files and directories whose rights are what we say, whatever the umask of this shell."""

import os
from pathlib import Path


def write_private(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a new file that nobody else can read, not even for a moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)


def directory(path: Path, *, mode: int = 0o700) -> None:
    """Make a directory, unless it is there, and give it these rights in any case."""
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(mode)


def our_directory(path: Path) -> None:
    """Make a directory and what is missing above it; nobody else may put anything there.

    Who may look into it is for the umask to say.
    """
    for above in reversed(path.parents):
        if not above.exists():
            above.mkdir(mode=0o755, exist_ok=True)
    path.mkdir(mode=0o755, exist_ok=True)


def sync(path: Path) -> None:
    """Have a file's content, or a directory's names, survive a power cut from now on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
