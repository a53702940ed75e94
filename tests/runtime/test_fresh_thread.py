"""A thread for a while: what it gives back, and what ends with it."""

import threading

import pytest

from runtime.fresh_thread import in_fresh_thread


def test_the_work_is_done_in_another_thread_each_time() -> None:
    kept = threading.local()

    def work() -> tuple[str, bool]:
        fresh = not hasattr(kept, "name")
        kept.name = threading.current_thread().name
        return kept.name, fresh

    assert [in_fresh_thread("a", work) for _ in range(3)] == [("a", True)] * 3


def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise KeyError("a")

    with pytest.raises(KeyError, match="a"):
        in_fresh_thread("a", work)
