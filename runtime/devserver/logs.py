"""The end of a server's log, for the message that says why it did not come up."""

from pathlib import Path

# Enough for the reason, little enough for a terminal.
LINES = 20
# Bytes from the end of a file that may be large.
_TAIL = 16_384


def tail(*files: Path) -> str:
    """The last lines of each file that is there, each part under the file's name."""
    return "\n".join(f"--- {file}\n{_last_lines(file)}" for file in files if file.is_file())


def _last_lines(file: Path) -> str:
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - _TAIL))
        lines = log.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LINES:])
