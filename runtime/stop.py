"""Signals become one stop event; a second signal stops at once."""

import os
import signal
import threading
from types import FrameType


class Stop(threading.Event):
    """Set by SIGTERM or SIGINT. Whoever waits, waits on it."""

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
