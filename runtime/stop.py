"""Signals become one stop event; a second signal stops at once."""

import os
import signal
import threading
from types import FrameType

#: Seconds from a first signal until the kernel ends a process that has not ended by itself,
#: whatever it waits for. In good order it takes 30 at most; supervisors give 60.
_END_WITHIN = 50


class Stop(threading.Event):
    """Set by SIGTERM or SIGINT. Whoever waits, waits on it.

    A process that does not end within 50 s of the signal is ended by SIGALRM.
    """

    def __init__(self) -> None:
        super().__init__()
        # The handler runs in the main thread, whatever that is doing: perhaps it holds this very
        # lock, in `wait`. The usual lock would then wait for itself for ever.
        self._cond = threading.Condition(threading.RLock())

    def install(self) -> "Stop":
        """Catch SIGTERM and SIGINT in this process (call it in the main thread)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.is_set():
            # The operator means it. Nothing is lost: what is unsettled will be redelivered.
            os._exit(128 + number)
        self.set()
        signal.alarm(_END_WITHIN)
