"""The workers of a run: processes as an operator starts them, their logs read while they work."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from console.bench.events import Event, EventLog
from console.bench.job import Crew
from console.bench.meter import Meter
from console.servers import Servers
from runtime.closing import close_in_order
from schemas.errors import StatesysError

#: Seconds that a worker has for what it holds after SIGTERM.
_STOP_WITHIN = 30
#: Seconds between two looks at the logs, and without any change before a run gives up.
_LOOK_EVERY, _STALL = 0.05, 60.0
#: Lines of a log that are shown when its worker died.
_TAIL = 15

#: The event that a role's messages are counted by, and the one that says it has begun.
_WORK = {"relay": "relay.batch_sent", "loader": "loader.chunk_loaded"}
_BEGUN = {"relay": "relay.consuming", "loader": "loader.consuming"}


class Workers:
    """Relays and loaders of one run; a context manager that leaves no process behind.

    Args:
        servers: given to them in their environment.
        directory: takes their logs.
        crew: how they are set.
        meter: watches them, by role.
    """

    def __init__(self, servers: Servers, directory: Path, crew: Crew, meter: Meter) -> None:
        self._directory = directory
        self._meter = meter
        self._running: dict[str, list[_Worker]] = {}
        self._environment = {
            **os.environ,
            "STATESYS_HOME": str(directory),
            "STATESYS_AMQP_URL": servers.amqp_url,
            "STATESYS_DATABASE_URL": servers.database_url,
            "STATESYS_LOG_FORMAT": "json",
            "STATESYS_LOG_LEVEL": "info",
            "STATESYS_LOADER_THREADS": str(crew.threads),
            "STATESYS_LOADER_CHUNK_SIZE": str(crew.chunk_size),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        close_in_order(*(partial(self.stop, role) for role in self._running))

    def start(self, role: str, processes: int = 1) -> float:
        """Start the workers of a role and wait until they consume.

        Returns:
            When the first one did (seconds since 1970).
        """
        workers = self._running[role] = []
        for number in range(1, processes + 1):
            worker = _Worker(role, self._directory / f"{role}-{number}.log", self._environment)
            workers.append(worker)
            self._meter.watch(role, worker.pid)
        begun = self._wait(role, _BEGUN[role], lambda found: len(found) >= processes)
        return min(event.at for event in begun)

    def work(self, role: str, messages: int) -> float:
        """Wait until a role has done so many state messages.

        Returns:
            When the last one was done (seconds since 1970).

        Raises:
            StatesysError: a worker died, or nothing moved for a minute.
        """
        done = self._wait(
            role, _WORK[role], lambda found: sum(e.messages for e in found) >= messages
        )
        return max(event.at for event in done)

    def events(self, role: str) -> list[Event]:
        """All that the workers of a role have said, in no order."""
        return [event for worker in self._running[role] for event in worker.log.read()]

    def stop(self, role: str) -> None:
        """End the workers of a role."""
        workers = self._running.pop(role, [])
        close_in_order(self._meter.sample, *(worker.stop for worker in workers))

    def _wait(self, role: str, event: str, enough: Callable[[list[Event]], bool]) -> list[Event]:
        seen, moved_at = -1, time.monotonic()
        while True:
            found = [e for e in self.events(role) if e.name == event]
            if enough(found):
                return found
            if len(found) != seen:
                seen, moved_at = len(found), time.monotonic()
            elif time.monotonic() - moved_at > _STALL:
                raise StatesysError(
                    f"nothing moved for {_STALL:.0f} s; look at the logs in {self._directory}"
                )
            for workers in self._running.values():
                for worker in workers:
                    worker.check()
            time.sleep(_LOOK_EVERY)


class _Worker:
    def __init__(self, role: str, path: Path, environment: dict[str, str]) -> None:
        self._role = role
        self._path = path
        with path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "statesys", role, "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                # Ctrl-C is for the bench, which stops its workers itself.
                start_new_session=True,
            )
        self.log = EventLog(path)

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        code = self._process.poll()
        if code is not None:
            with self._path.open(encoding="utf-8", errors="replace") as log:
                last = "".join(deque(log, _TAIL)).rstrip()
            raise StatesysError(f"the {self._role} ended with {code}; its last lines:\n{last}")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
