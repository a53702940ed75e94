"""Work in a thread of its own, and somebody who waits for it."""

import signal
import threading
from types import FrameType

import pytest

from runtime.fresh_thread import in_fresh_thread


def test_the_result_comes_back_from_another_thread() -> None:
    assert in_fresh_thread("work", threading.current_thread) is not threading.current_thread()


def test_what_it_raises_is_raised() -> None:
    def fail() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        in_fresh_thread("work", fail)


def test_a_signal_is_handled_whichever_thread_it_reaches() -> None:
    """A stopped and continued relay got its SIGTERM in the thread that works, and never ended."""
    handled = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        handled.set()

    def work() -> bool:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        return handled.wait(20)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        assert in_fresh_thread("work", work)
    finally:
        signal.signal(signal.SIGUSR1, before)
