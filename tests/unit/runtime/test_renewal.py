"""Work runs in a thread of its own, and the caller waits for it."""

import signal
import sys
import threading
from types import FrameType

import pytest

from runtime.workers.renewal import run_until_renewal
from tests.support.waiting import wait_until


def test_the_result_comes_back_from_another_thread() -> None:
    assert run_until_renewal("work", threading.current_thread) is not threading.current_thread()


def test_what_it_raises_is_raised() -> None:
    def fail() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        run_until_renewal("work", fail)


def test_a_signal_is_handled_whichever_thread_it_reaches() -> None:
    """A stopped and continued relay got its SIGTERM in the working thread, and never ended."""
    handled = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        handled.set()

    def waited_for() -> bool:
        found = sys._current_frames()[threading.main_thread().ident or 0]
        while found.f_back and found.f_code is not threading.Thread.join.__code__:
            found = found.f_back
        return found.f_code is threading.Thread.join.__code__

    def work() -> bool:
        wait_until(waited_for, what="the main thread to wait")
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        return handled.wait(60)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        assert run_until_renewal("work", work)
    finally:
        signal.signal(signal.SIGUSR1, before)
