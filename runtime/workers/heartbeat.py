"""The pulse: a small file in which a worker says every second how it is.

A file, not a port: it needs no listener and no library, works for several workers on one machine,
and a worker that hangs simply stops writing it.

Ages are told by the monotonic clock, which all processes of a machine share and nobody can set.

Several containers or machines may share the directory. A process of another pid namespace or boot
cannot be looked up here: its file is left alone, and is removed when it is a day old.
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

from runtime.devserver.processes import Process, alive, boot, identify
from runtime.files import our_directory
from runtime.log_stream import unwritten_lines

#: Seconds between two writes.
_EVERY = 1.0
#: Seconds since the last write after which the file of a process that cannot be looked up is
#: removed. By the file's own time: one that lives writes it anew.
_FORGOTTEN = 86_400


class HeartbeatFile:
    """How one worker process is. `progress` and `trouble` may be called by any thread.

    Args:
        home: the directory of `STATESYS_HOME`; the file is `run/<role>-<pid>-<random>.json` in
            it, for another container may have the same pid.
        role: `relay` or `loader`.
    """

    def __init__(self, home: Path, role: str) -> None:
        self._path = home / "run" / f"{role}-{os.getpid()}-{secrets.token_hex(4)}.json"
        self._process = self._namespace = None
        # Where /proc is hidden nobody can check this worker; that is no reason not to work.
        with suppress(OSError):
            process = identify(os.getpid())
            self._process = process and asdict(process)
            self._namespace = _pid_namespace()
        self._lock = threading.Lock()
        # One thread writes at a time; another one that comes meanwhile need not.
        self._writing = threading.Lock()
        self._troubles: dict[str, str] = {}
        self._progress_at = time.monotonic()
        self._written_at = -_EVERY
        self._held = 0
        self._note: str | None = None

    def progress(self, who: str) -> None:
        """Somebody got something done: his trouble is over."""
        with self._lock:
            self._progress_at = time.monotonic()
            self._troubles.pop(who, None)

    def clear(self, who: str) -> None:
        """Somebody's trouble is over, without progress in what the worker is for."""
        with self._lock:
            self._troubles.pop(who, None)

    def trouble(self, who: str, why: str) -> None:
        """Somebody waits for a server; `why` is a sentence."""
        with self._lock:
            self._troubles[who] = why
            held = self._held
        # Whoever waits may be the very thread that beats.
        self.beat(held=held)

    def note(self, note: str | None) -> None:
        """Say what an operator should know of a healthy worker too, in one sentence; or nothing."""
        with self._lock:
            self._note = note

    def beat(self, *, held: int, blocked: str | None = None, now: bool = False) -> None:
        """Write the file if a second has passed. Called from the worker's main loop.

        Args:
            held: unsettled deliveries.
            blocked: why the broker blocks our publishing, if it does.
            now: write it whatever the time.
        """
        at = time.monotonic()
        if not now and at - self._written_at < _EVERY:
            return
        self._written_at = at
        unwritten = _unwritten()
        with self._lock:
            self._held = held
            if held == 0:
                # Nothing to do is as good as progress.
                self._progress_at = at
            words: dict[str, Any] = {
                "pid": os.getpid(),
                "process": self._process,
                "namespace": self._namespace,
                # For people only; the other two are seconds of the monotonic clock.
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "written": at,
                "progress": self._progress_at,
                "held": held,
                "blocked": blocked,
                "troubles": dict(self._troubles),
                "note": self._note,
                "unwritten": unwritten,
            }
        if self._writing.acquire(blocking=False):
            try:
                self._write(json.dumps(words))
            finally:
                self._writing.release()

    def _write(self, words: str) -> None:
        # A full disk must not stop a worker; the old pulse then says that something is wrong.
        with suppress(OSError):
            our_directory(self._path.parent)
            part = self._path.with_suffix(".part")
            part.write_text(words, encoding="utf-8")
            part.replace(self._path)

    def end(self) -> None:
        """Remove the file: the worker stopped in good order."""
        with suppress(OSError):
            self._path.unlink()


def read_heartbeats(home: Path, role: str) -> list[dict[str, Any]]:
    """The pulses of the workers of a role that are alive; files of dead ones are removed.

    A pid that another program has by now is no sign of life.
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
        # It may be another user's.
        with suppress(OSError):
            if known or time.time() - path.stat().st_mtime > _FORGOTTEN:
                path.unlink()
    return heartbeats


def _pid_namespace() -> int:
    """Which processes a pid is one of: containers have their own."""
    return Path("/proc/self/ns/pid").stat().st_ino


def _unwritten() -> dict[str, Any] | None:
    """The log lines that this process could not write; asking tries to tell of them in the log."""
    lost = unwritten_lines()
    return lost and {"lines": lost.lines, "since": lost.since.isoformat(timespec="seconds")}
