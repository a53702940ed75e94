"""Keep the service manager's watchdog quiet while the worker does its work.

The watchdog restarts a worker that is stuck, judged as `statesys health` judges. A worker that
waits for a server is not stuck: it continues by itself, and a restart would not help.
"""

from typing import Any

from runtime.workers.judging import stuck, waits
from runtime.workers.notify import tell_manager, watchdog_limit


class Watchdog:
    """What one worker tells the service manager. One thread at a time uses it."""

    def __init__(self) -> None:
        self._limit = watchdog_limit()
        # A sign of life comes several times before the limit, since one may get lost.
        self._every = self._limit / 4 if self._limit else None
        self._ready = False
        self._status = ""
        self._told_at = float("-inf")

    def hear(
        self, heartbeat: dict[str, Any], *, ready: bool, now: float, stopping: bool = False
    ) -> None:
        """Pass a heartbeat on, if the manager should hear of it now.

        Args:
            heartbeat: as the heartbeat file has it.
            ready: the worker consumes, or has consumed before.
            now: seconds of the monotonic clock.
            stopping: the worker finishes what it holds, and consumes no more.
        """
        at_work = "stopping" if stopping else "consuming" if ready else "starting"
        waiting = waits(heartbeat)
        problem = stuck(heartbeat, now=now, interval=self._limit) if self._limit else None
        status = f"waiting: {waiting}" if waiting else problem or at_work
        alive = self._limit is not None and (waiting is not None or problem is None)
        due = alive and self._every is not None and now - self._told_at >= self._every
        if not (due or status != self._status or ready != self._ready):
            return
        if tell_manager(**self._lines(status, alive=alive, ready=ready)):
            self._status, self._ready, self._told_at = status, ready, now

    def _lines(self, status: str, *, alive: bool, ready: bool) -> dict[str, str]:
        lines = {"STATUS": status}
        if ready and not self._ready:
            lines["READY"] = "1"
        if alive and ready:
            lines["WATCHDOG"] = "1"
        elif alive and self._limit:
            # The watchdog begins when the worker is ready; until then, the start may take longer.
            lines["EXTEND_TIMEOUT_USEC"] = str(round(self._limit * 1_000_000))
        return lines
