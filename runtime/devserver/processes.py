"""Start processes without a terminal, find them, and end them."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from runtime.devserver.errors import ServicesError
from runtime.devserver.place import Account
from runtime.process_identity import Process, alive, identify

# Seconds between two checks: short compared with a server's start, long compared with a check.
PAUSE = 0.05


def until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until the condition holds; False when it did not within that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


# Enough to show the reason, few enough for a terminal.
LINES = 20
# Bytes from the end of a file that may be large.
_TAIL = 16_384


def tail(*files: Path) -> str:
    """The last lines of each file that exists, under the file's name."""
    return "\n".join(f"--- {file}\n{_last_lines(file)}" for file in files if file.is_file())


def _last_lines(file: Path) -> str:
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - _TAIL))
        lines = log.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LINES:])


# The shell is the leader of a new session and ends at once. Its child then has no terminal, no
# parent to end with it, and gets no Ctrl-C. The child waits for a line before it becomes the
# program, and ends if none comes.
# The limit is for sockets and files of a broker under load, which needs more than the usual 1,024;
# if the hard limit is lower, the child uses that.
_DETACH = """
umask 077
ulimit -S -n 65536 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"
exec 3<&0
{ read -r go <&3 && exec "$@" 3<&- </dev/null; } >>"$0" 2>&1 &
echo $!
"""


#: Open files that a broker needs. With fewer it starts, but its first clients use them up.
LEAST_FILES = 1_024


def require_files() -> None:
    """Refuse a limit of open files that is too low for the servers.

    Raises:
        ServicesError: the limit is too low; the message says what to do.
    """
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < LEAST_FILES:
        msg = (
            f"a process may open only {allowed} files here, and the servers need {LEAST_FILES:,}: "
            f"raise the hard limit (ulimit -H -n)"
        )
        raise ServicesError(msg)


def running(program: str | None = None, *, name: str, value: str) -> Iterator[Process]:
    """Processes of one program, or of any, that were started with this environment variable.

    Only those whose environment we may read.
    """
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found = (directory / "comm").read_text(encoding="utf-8", errors="replace")
            if program is not None and found != f"{program}\n":
                continue
            process = identify(int(directory.name))
            if process is not None and environment(process).get(name) == value:
                yield process


def environment(process: Process) -> dict[str, str]:
    """The environment at a process's start; empty when it has ended, or is another user's."""
    try:
        text = os.fsdecode(Path(f"/proc/{process.pid}/environ").read_bytes())
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


def spawn(
    argv: Sequence[str],
    *,
    account: Account,
    env: Mapping[str, str],
    cwd: Path,
    output: Path,
    write_down: Callable[[Process], None],
) -> Process:
    """Start a process in a session of its own, both its outputs appended to a file.

    Args:
        argv: of the program.
        account: the user it runs as.
        env: its complete environment.
        cwd: its working directory.
        output: the file; made if it is missing.
        write_down: records the process before the program starts. If it fails, or we die in it,
            the program never starts: every program that runs is recorded.

    Raises:
        ServicesError: the output cannot be written.
    """
    with subprocess.Popen(
        ["/bin/sh", "-c", _DETACH, str(output), *argv],
        env=env,
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        **account.identity,
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        process = identify(int(shell.stdout.readline()))
        if process is None:
            msg = f"{argv[0]} was not started: is there no writing to {output}?"
            raise ServicesError(msg)
        write_down(process)
        shell.stdin.write(b"go\n")
    return process


def stop(
    process: Process, *, by: signal.Signals, listens: Callable[[], bool], seconds: float
) -> bool:
    """Ask a process to end and wait for it.

    Args:
        process: the one to end.
        by: the signal to send.
        listens: whether it handles the signal already; earlier in its start, the signal would be
            lost.
        seconds: to wait at most until it listens, and again until it ends.

    Returns:
        False when it still runs.
    """
    until(lambda: listens() or not alive(process), seconds=seconds)
    _send(process, by)
    return until(lambda: not alive(process), seconds=seconds)


def kill(process: Process) -> None:
    """Kill a process that ignores other signals."""
    _send(process, signal.SIGKILL)


def _send(process: Process, number: signal.Signals) -> None:
    if alive(process):
        # It may end between the two.
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
