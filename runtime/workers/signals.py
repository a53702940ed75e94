"""Signals become one stop event; a second signal stops at once."""

import os
import signal
import threading
from types import FrameType

from runtime.workers.notify import tell_manager

#: Seconds from the first signal until the kernel ends a process that still runs, whatever it waits
#: for. A clean stop takes 35 at most while the servers answer: 30 for what the worker holds, and 5
#: for the last heartbeat and the other last acts of a loader's tasks. Supervisors allow 60.
_END_WITHIN = 50


class Stop(threading.Event):
    """Set by SIGTERM, SIGINT or SIGHUP; threads wait on it.

    SIGHUP means that the terminal was closed; if it is ignored, as under nohup, it stays ignored.
    If the process still runs 50 s after the signal, SIGALRM ends it.
    """

    def __init__(self) -> None:
        super().__init__()
        # The handler interrupts the main thread, which may hold this lock, in `wait`. With the
        # usual lock, which is not reentrant, the handler would wait forever.
        self._cond = threading.Condition(threading.RLock())

    def install(self) -> "Stop":
        """Catch the signals in this process (call it in the main thread)."""
        for number in (signal.SIGTERM, signal.SIGINT, *_hangup()):
            signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.is_set():
            if number == signal.SIGHUP:
                # Kernel and shell both send SIGHUP, so the second one is ignored.
                return
            # The operator asked twice. Nothing is lost: unsettled messages are redelivered.
            os._exit(128 + number)
        self.set()
        signal.alarm(_END_WITHIN)
        tell_manager(STOPPING="1", STATUS="stopping")


def interrupt_on_signals() -> None:
    """Make SIGTERM and SIGHUP act like Ctrl-C, for a command that has something to clean up.

    A second SIGTERM ends the process at once.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        # Kernel and shell both send SIGHUP, so the second one is ignored.
        again = signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL
        signal.signal(number, again)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, *_hangup()):
        signal.signal(number, interrupt)


def _hangup() -> tuple[signal.Signals, ...]:
    return () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
