"""Processes that belong to nobody's terminal, and how to know one again.

A pid alone says little: the kernel gives it to another process later. A pid together with its
start time and the boot it lived in is exact.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.services.errors import ServicesError
from runtime.services.polling import until

# The shell is the leader of a new session and leaves at once: what it leaves behind has no
# terminal to lose, no parent to die with, and no Ctrl-C to hear.
# The limit: sockets and files of a broker under load, for which the usual 1,024 are too few;
# where less is allowed, less has to do.
_DETACH = """
umask 077
ulimit -S -n 65536 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"
"$@" </dev/null >>"$0" 2>&1 &
echo $!
"""


#: Open files without which a broker starts, and is out of them with its first clients.
LEAST_FILES = 1_024


def require_files() -> None:
    """Refuse a limit of open files with which a server would come up too slowly, or not at all.

    Raises:
        ServicesError: the limit, and what to do.
    """
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < LEAST_FILES:
        msg = (
            f"a process may open only {allowed} files here, and the servers need {LEAST_FILES:,}: "
            f"raise the hard limit (ulimit -H -n)"
        )
        raise ServicesError(msg)


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of one boot; `started` is in clock ticks since that boot."""

    pid: int
    started: int
    boot: str


def identify(pid: int) -> Process | None:
    """Whoever has this pid now; None when nobody has, or a zombie that has ended already."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the name in parentheses and may itself hold blanks and parentheses.
    state, *fields = stat.rpartition(")")[2].split()
    if state in "ZX":
        return None
    return Process(pid=pid, started=int(fields[18]), boot=boot())


def alive(process: Process | None) -> bool:
    """Whether this very process still runs."""
    return process is not None and identify(process.pid) == process


def spawn(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, output: Path
) -> Process | None:
    """Start a process in a session of its own, both its outputs appended to a file.

    Returns:
        The process; None when it has ended already (the file says why).
    """
    launched = subprocess.run(
        ["/bin/sh", "-c", _DETACH, str(output), *argv],
        env=env,
        cwd=cwd,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        start_new_session=True,
    )
    return identify(int(launched.stdout))


def stop(process: Process, *, seconds: float) -> bool:
    """Ask a process to end and wait for it; False when it still runs after that many seconds."""
    if alive(process):
        os.kill(process.pid, signal.SIGTERM)
    return until(lambda: not alive(process), seconds=seconds)


def kill(process: Process) -> None:
    """End a process that does not listen."""
    if alive(process):
        os.kill(process.pid, signal.SIGKILL)


def boot() -> str:
    """Which start of this machine it is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
