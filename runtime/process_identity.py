"""Identify a process later.

A pid alone is not enough: the kernel gives it to another process later. A pid together with the
start time and the boot identifies one process. Linux only: it reads /proc.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of one boot; `started` is in clock ticks since that boot."""

    pid: int
    started: int
    boot: str


def identify(pid: int) -> Process | None:
    """The process that has this pid now; None when there is none, or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the name in parentheses, which may contain blanks and parentheses.
    state, *fields = stat.rpartition(")")[2].split()
    if state in "ZX":
        return None
    return Process(pid=pid, started=int(fields[18]), boot=boot())


def alive(process: Process | None) -> bool:
    """Whether this very process still runs."""
    return process is not None and identify(process.pid) == process


def boot() -> str:
    """The id of this machine's current boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
