"""Signals become one stop event; a second signal stops at once."""

import os
import signal
import threading
from types import FrameType

#: Seconds from a first signal until the kernel ends a process that has not ended by itself,
#: whatever it waits for. In good order it takes 30 at most; supervisors give 60.
_END_WITHIN = 50


class Stop(threading.Event):
    """Set by SIGTERM, SIGINT or SIGHUP. Whoever waits, waits on it.

    SIGHUP is a terminal that was closed; where it is ignored, as under nohup, it stays so.
    A process that does not end within 50 s of the signal is ended by SIGALRM.
    """

    def __init__(self) -> None:
        super().__init__()
        # The handler runs in the main thread, whatever that is doing: perhaps it holds this very
        # lock, in `wait`. The usual lock would then wait for itself for ever.
        self._cond = threading.Condition(threading.RLock())

    def install(self) -> "Stop":
        """Catch the signals in this process (call it in the main thread)."""
        for number in (signal.SIGTERM, signal.SIGINT, *_hangup()):
            signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.is_set():
            if number == signal.SIGHUP:
                # Kernel and shell both send it.
                return
            # The operator means it. Nothing is lost: what is unsettled will be redelivered.
            os._exit(128 + number)
        self.set()
        signal.alarm(_END_WITHIN)


def interrupt_on_signals() -> None:
    """Make SIGTERM and SIGHUP what Ctrl-C is, for a command that has something to clean up.

    A second SIGTERM ends the process at once.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        # Kernel and shell both send SIGHUP.
        again = signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL
        signal.signal(number, again)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, *_hangup()):
        signal.signal(number, interrupt)


def _hangup() -> tuple[signal.Signals, ...]:
    return () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
