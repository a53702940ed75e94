"""The workers of a run: processes as an operator starts them, and a reader of their logs."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self

from lab.bench.job import WorkerSettings
from lab.bench.meter import Meter
from lab.program import Program
from lab.servers import Servers
from runtime.closing import close_in_order
from schemas.errors import StatesysError

#: Levels below a warning. Lines without a level do not come from the worker itself.
_CALM = ("debug", "info", None)


class Event(NamedTuple):
    """One log line; a number that the line does not have is 0.

    Attributes:
        name: such as `loader.chunk_loaded`.
        at: seconds since 1970.
        messages: number of state messages.
        canonical: number of reports that took the fast path.
        seconds: how long the work took.
        trouble: whether it is a warning or an error.
    """

    name: str
    at: float
    messages: int
    canonical: int
    seconds: float
    trouble: bool


class EventLog:
    """The log of a worker, read while it grows.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._events: list[Event] = []

    def read(self) -> list[Event]:
        """Read the new lines; return all events so far."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        # The worker is still writing a line that has no end.
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._events += [event for line in whole.splitlines() if (event := _event(line))]
        return self._events


def _event(line: bytes) -> Event | None:
    try:
        keys = json.loads(line)
        return Event(
            keys["event"],
            datetime.fromisoformat(keys["timestamp"]).timestamp(),
            int(keys.get("messages", 0)),
            int(keys.get("canonical", 0)),
            float(keys.get("load_ms", 0)) / 1000,
            keys.get("level") not in _CALM,
        )
    except (ValueError, KeyError, TypeError):
        # A line of a traceback, or a warning that Python itself wrote.
        return None


#: Seconds between two reads of the logs; seconds without any new event until a run gives up.
_LOOK_EVERY, _STALL = 0.05, 60.0

#: The event that counts a role's messages, and the event that a role starts with.
_WORK = {"relay": "relay.batch_sent", "loader": "loader.chunk_loaded"}
_BEGUN = {"relay": "relay.consuming", "loader": "loader.consuming"}


class BenchWorkers:
    """Relays and loaders of one run; a context manager that stops them all at its end.

    Args:
        servers: given to them in their environment.
        directory: for their logs.
        worker_settings: threads and chunk size of the loaders.
        meter: measures them, by role.
    """

    def __init__(
        self, servers: Servers, directory: Path, worker_settings: WorkerSettings, meter: Meter
    ) -> None:
        self._directory = directory
        self._meter = meter
        self._running: dict[str, list[_Worker]] = {}
        self._settings = {
            "home": directory,
            "amqp_url": servers.amqp_url,
            "database_url": servers.database_url,
            "log_format": "json",
            "log_level": "info",
            "loader_threads": worker_settings.threads,
            "loader_chunk_size": worker_settings.chunk_size,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        programs = [worker.program for some in self._running.values() for worker in some]
        close_in_order(self._meter.sample, *(program.stop for program in programs))

    def start(self, role: str, processes: int = 1) -> float:
        """Start the workers of a role and wait until they consume.

        Returns:
            When the first one began (seconds since 1970).
        """
        workers = self._running[role] = []
        for number in range(1, processes + 1):
            log = self._directory / f"{role}-{number}.log"
            log.unlink(missing_ok=True)
            worker = _Worker(Program(role, "run", log=log, settings=self._settings), EventLog(log))
            workers.append(worker)
            self._meter.watch(role, worker.program.process.pid)
        begun = self._wait(role, _BEGUN[role], lambda found: len(found) >= processes)
        # The sample ends the CPU time of the start, which is no part of the result.
        self._meter.sample()
        return min(event.at for event in begun)

    def work(self, role: str, messages: int) -> float:
        """Wait until the workers of a role have handled a number of state messages.

        Returns:
            When the last of them was handled (seconds since 1970).

        Raises:
            StatesysError: a worker died, or no new event came for a minute.
        """
        done = self._wait(
            role, _WORK[role], lambda found: sum(e.messages for e in found) >= messages
        )
        return max(event.at for event in done)

    def events(self, role: str) -> list[Event]:
        """All events so far of a role's workers, unordered."""
        return [event for worker in self._running[role] for event in worker.log.read()]

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
                    worker.program.check()
            time.sleep(_LOOK_EVERY)


class _Worker(NamedTuple):
    program: Program
    log: EventLog
