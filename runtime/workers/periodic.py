"""A periodic task of a worker: a thread of its own, so that it delays no message."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from runtime.workers.heartbeat import HeartbeatFile
from runtime.workers.retry import until_available
from schemas.errors import BrokerUnavailable, DatabaseUnavailable, SchemaMissing


class PeriodicTask(threading.Thread):
    """A thread that acts at once and then at an interval, until stopped.

    While a server is unavailable, it waits and tries again.

    Args:
        name: name of the thread.
        act: what to do; returns after which time to do it again, or None for the interval. A time
            longer than the interval has no effect.
        every: the interval.
        stop: set it to stop the task.
        heartbeat: receives trouble and its end.
        at_end: called once after the stop; an unavailable server is ignored then.

    Attributes:
        failure: the error that ended the thread, for the service to raise; None if there is none.
    """

    def __init__(
        self,
        name: str,
        act: Callable[[], timedelta | None],
        *,
        every: timedelta,
        stop: threading.Event,
        heartbeat: HeartbeatFile,
        at_end: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._act = act
        self._every = every.total_seconds()
        self._stop_event = stop
        self._heartbeat = heartbeat
        self._at_end = at_end
        self.failure: Exception | None = None

    def run(self) -> None:
        """Act until stopped."""
        next_at = time.monotonic()
        try:
            while not self._stop_event.wait(max(0.0, next_at - time.monotonic())):
                next_at = time.monotonic() + self._every
                wait = until_available(self._stop_event, self.name, self._heartbeat)(self._act)
                if wait is not None:
                    next_at = min(next_at, time.monotonic() + wait.total_seconds())
                self._heartbeat.clear(self.name)
            if self._at_end is not None:
                self._at_end()
        except (BrokerUnavailable, DatabaseUnavailable, SchemaMissing):
            # Only when stopping: until then, `until_available` waits for the server.
            pass
        except Exception as error:  # noqa: BLE001 (the service re-raises it in the main thread)
            self.failure = error
