"""The heartbeat file: a small file in which a worker writes its health every second.

A file is simpler than a port: it needs no listener and no library, and works for several workers
on one machine. A worker that hangs stops writing it.

Ages are measured with the monotonic clock: all processes of a machine share it, and nobody can
set it.

Several containers or machines may share the directory. A process of another pid namespace or boot
cannot be looked up here: its file stays until it is a day old.
"""

import json
import os
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runtime.files import our_directory
from runtime.log_stream import unwritten_lines
from runtime.process_identity import Process, alive, boot, identify
from runtime.workers.watchdog import Watchdog

#: Seconds between two writes.
_EVERY = 1.0
#: Seconds since the last write after which the file of a process that cannot be looked up is
#: removed. The file's modification time counts, because a running worker keeps writing.
_FORGOTTEN = 86_400


class HeartbeatFile:
    """The health of one worker process. Any thread may call `progress` and `trouble`.

    A service manager that watches the process hears of each heartbeat, too.

    Args:
        home: the directory of `STATESYS_HOME`; the file is `run/<role>-<pid>-<random>.json` in
            it. The random part is there because another container may use the same pid.
        role: `relay` or `loader`.
    """

    def __init__(self, home: Path, role: str) -> None:
        self._path = home / "run" / f"{role}-{os.getpid()}-{secrets.token_hex(4)}.json"
        self._process = self._namespace = None
        # If /proc is hidden, nobody can check this worker; it works nevertheless.
        with suppress(OSError):
            process = identify(os.getpid())
            self._process = process and asdict(process)
            self._namespace = _pid_namespace()
        self._lock = threading.Lock()
        # One thread writes at a time; another thread that comes meanwhile skips its write.
        self._writing = threading.Lock()
        self._troubles: dict[str, str] = {}
        self._progress_at = time.monotonic()
        self._written_at = -_EVERY
        self._held = 0
        self._notes: dict[str, str] = {}
        self._ready = False
        self._watchdog = Watchdog()

    def progress(self, who: str) -> None:
        """The thread `who` made progress: its trouble is over."""
        with self._lock:
            self._progress_at = time.monotonic()
            self._ready = True
            self._troubles.pop(who, None)

    def clear(self, who: str) -> None:
        """The trouble of thread `who` is over, but it made no progress with deliveries."""
        with self._lock:
            self._troubles.pop(who, None)

    def trouble(self, who: str, why: str) -> None:
        """The thread `who` waits for a server; `why` is a sentence."""
        with self._lock:
            self._troubles[who] = why
            held = self._held
        # The thread that waits may be the one that calls `beat`.
        self.beat(held=held)

    def note(self, note: str | None, *, about: str = "topology") -> None:
        """Set one sentence that an operator should read even if the worker is healthy, or None.

        Args:
            about: its subject; a later note about the same subject replaces it.
        """
        with self._lock:
            if note is None:
                self._notes.pop(about, None)
            else:
                self._notes[about] = note

    def beat(
        self, *, held: int, blocked: str | None = None, stopping: bool = False, now: bool = False
    ) -> None:
        """Write the file if a second has passed. The worker's main loop calls this.

        Args:
            held: unsettled deliveries.
            blocked: why the broker blocks our publishing, if it does.
            stopping: the worker is to stop, and finishes what it holds.
            now: write at once.
        """
        at = time.monotonic()
        if not now and at - self._written_at < _EVERY:
            return
        self._written_at = at
        unwritten = _unwritten()
        with self._lock:
            self._held = held
            if held == 0:
                # A worker with nothing to do counts as making progress.
                self._progress_at = at
            words: dict[str, Any] = {
                "pid": os.getpid(),
                "process": self._process,
                "namespace": self._namespace,
                # For people; "written" and "progress" are seconds of the monotonic clock.
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "written": at,
                "progress": self._progress_at,
                "held": held,
                "blocked": blocked,
                "troubles": dict(self._troubles),
                "note": "; ".join(self._notes.values()) or None,
                "unwritten": unwritten,
            }
            ready = self._ready
        if self._writing.acquire(blocking=False):
            try:
                # First: a full disk may delay the file.
                self._watchdog.hear(words, ready=ready, stopping=stopping, now=at)
                self._write(json.dumps(words))
            finally:
                self._writing.release()

    def _write(self, words: str) -> None:
        # A full disk must not stop a worker; the age of the file then shows a problem.
        with suppress(OSError):
            our_directory(self._path.parent)
            part = self._path.with_suffix(".part")
            part.write_text(words, encoding="utf-8")
            part.replace(self._path)

    def end(self) -> None:
        """Remove the file: the worker stopped cleanly."""
        with suppress(OSError):
            self._path.unlink()


def read_heartbeats(home: Path, role: str) -> list[dict[str, Any]]:
    """The heartbeats of a role's running workers; files of workers that ended are removed.

    If another program has the pid by now, the worker has ended.
    """
    here = _pid_namespace()
    heartbeats = []
    for path in sorted((home / "run").glob(f"{role}-*.json")):
        try:
            words = json.loads(path.read_text(encoding="utf-8"))
            process = Process(**words["process"])
            namespace = words["namespace"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        known = namespace == here and process.boot == boot()
        if known and alive(process):
            heartbeats.append(words)
            continue
        # The file may belong to another user.
        with suppress(OSError):
            if known or time.time() - path.stat().st_mtime > _FORGOTTEN:
                path.unlink()
    return heartbeats


def _pid_namespace() -> int:
    """The id of this process's pid namespace: a pid means another process in each container."""
    return Path("/proc/self/ns/pid").stat().st_ino


def _unwritten() -> dict[str, Any] | None:
    """The log lines that this process lost; first tries to report them in the log."""
    lost = unwritten_lines()
    return lost and {"lines": lost.lines, "since": lost.since.isoformat(timespec="seconds")}
