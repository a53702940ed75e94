"""The inbox: which deliveries `take` returns, and when."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from loader.inbox import Held, Inbox
from runtime.broker import Delivery, Properties
from tests.support.inboxes import batches_in
from tests.support.waiting import wait_until

QUEUES = ("high", "normal", "low")
NEVER = 3600.0


def held(
    tag: int,
    *,
    queue: str = "normal",
    size: int = 10,
    arrived: float | None = None,
    redelivered: bool = False,
) -> Held:
    delivery = Delivery(tag, queue, b"x" * size, Properties(), redelivered)
    return Held(1, time.monotonic() if arrived is None else arrived, delivery)


def tags(chunk: list[Held]) -> list[int]:
    return [one.delivery.tag for one in chunk]


def inbox(*, chunk_bytes: int = 100, wait: float = NEVER, together: int = 1) -> Inbox:
    return Inbox(QUEUES, chunk_bytes=chunk_bytes, wait=wait, together=together)


@contextmanager
def threads_of(box: Inbox) -> Iterator[ThreadPoolExecutor]:
    """Threads that call `take`; they end also when the test fails."""
    with ThreadPoolExecutor(16) as pool:
        try:
            yield pool
        finally:
            box.close()


def waiting(box: Inbox) -> int:
    """Threads that wait in `take`."""
    with box._change:
        return len(box._change._waiters)  # type: ignore[attr-defined]


def asleep(pool: ThreadPoolExecutor, box: Inbox, *, threads: int = 1) -> list[Future[list[Held]]]:
    """Threads that are asleep in `take`."""
    futures = [pool.submit(box.take) for _ in range(threads)]
    wait_until(lambda: waiting(box) == threads, what="the threads to wait")
    return futures


def test_high_goes_before_normal_before_low_whatever_came_first() -> None:
    box = inbox(chunk_bytes=10)
    for tag, queue in enumerate(("low", "normal", "high", "low", "normal", "high"), 1):
        box.put(held(tag, queue=queue))
    assert [tags(box.take()) for _ in range(6)] == [[3], [6], [2], [5], [1], [4]]


def test_what_is_urgent_overtakes_until_the_moment_of_taking() -> None:
    box = inbox(chunk_bytes=20)
    for tag in range(1, 5):
        box.put(held(tag))
    assert tags(box.take()) == [1, 2]
    box.put(held(9, queue="high"))
    assert tags(box.take()) == [9, 3]


def test_a_full_chunk_is_given_out_without_waiting() -> None:
    box = inbox(chunk_bytes=30)
    for tag in range(1, 4):
        box.put(held(tag))
    assert tags(box.take()) == [1, 2, 3]
    assert batches_in(box) == 0


def test_a_chunk_is_whole_batches_up_to_its_size() -> None:
    box = inbox(chunk_bytes=30)
    box.put(held(1, size=20))
    box.put(held(2, size=20))
    assert tags(box.take()) == [1]
    assert batches_in(box) == 1


def test_a_batch_larger_than_a_chunk_travels_alone() -> None:
    box = inbox(chunk_bytes=30)
    box.put(held(1, size=500))
    box.put(held(2, size=40))
    assert tags(box.take()) == [1]
    assert tags(box.take()) == [2]


def test_several_chunks_are_taken_together_while_another_one_waits() -> None:
    box = inbox(chunk_bytes=20, together=3)
    for tag in range(1, 13):
        box.put(held(tag))
    assert tags(box.take()) == [1, 2, 3, 4, 5, 6], "three of six"
    assert tags(box.take()) == [7, 8, 9, 10], "two of three"
    assert tags(box.take()) == [11, 12], "the last for itself"


@pytest.mark.parametrize("place", [1, 2, 4])
def test_what_was_delivered_before_is_taken_alone(place: int) -> None:
    box = inbox(chunk_bytes=20, together=3, wait=0)
    for tag in range(1, 9):
        box.put(held(tag, redelivered=tag == place))
    taken: list[list[int]] = []
    while not taken or place not in taken[-1]:
        taken.append(tags(box.take()))
    assert taken[-1] == [place]


def test_a_lower_lane_does_not_fill_a_chunk_while_a_higher_one_has_more() -> None:
    box = inbox(chunk_bytes=30)
    box.put(held(1, queue="high", size=25))
    box.put(held(2, queue="high", size=25))
    box.put(held(3, queue="normal", size=5))
    assert tags(box.take()) == [1]
    assert tags(box.take()) == [2, 3]


def test_an_incomplete_chunk_is_given_out_when_its_oldest_is_overdue() -> None:
    box = inbox(wait=30)
    box.put(held(1, arrived=time.monotonic() - 31))
    box.put(held(2))
    assert tags(box.take()) == [1, 2]


def test_an_incomplete_chunk_becomes_overdue_while_a_thread_waits_for_it() -> None:
    box = inbox(wait=0.05)
    with threads_of(box) as pool:
        (taken,) = asleep(pool, box)
        box.put(held(1))
        assert tags(taken.result(10)) == [1]


def test_an_incomplete_chunk_waits_for_more() -> None:
    box = inbox(chunk_bytes=20)
    with threads_of(box) as pool:
        box.put(held(1))
        (taken,) = asleep(pool, box)
        assert not taken.done()
        box.put(held(2))
        assert tags(taken.result(10)) == [1, 2]


def test_hurry_gives_out_what_is_there() -> None:
    box = inbox()
    with threads_of(box) as pool:
        box.put(held(1))
        (taken,) = asleep(pool, box)
        box.hurry(on=True)
        assert tags(taken.result(10)) == [1]
        box.put(held(2))
        assert tags(box.take()) == [2]
        box.hurry(on=False)
        box.put(held(3))
        (taken,) = asleep(pool, box)
        assert not taken.done()


def test_what_does_not_fit_is_at_once_for_another_thread() -> None:
    box = inbox(chunk_bytes=100)
    with threads_of(box) as pool:
        # The thread that the second put wakes takes the first delivery, and leaves the second.
        first, second = asleep(pool, box, threads=2)
        box.put(held(1, size=50))
        wait_until(lambda: waiting(box) == 2, what="the first to wait for more")
        box.put(held(2, size=100))
        assert sorted([tags(first.result(10)), tags(second.result(10))]) == [[1], [2]]


def test_dropped_deliveries_are_never_given_out() -> None:
    box = inbox(chunk_bytes=20)
    box.put(held(1))
    box.drop()
    assert batches_in(box) == 0
    box.put(held(2))
    box.put(held(3))
    assert tags(box.take()) == [2, 3]


def test_dropped_bytes_do_not_count() -> None:
    box = inbox(chunk_bytes=20)
    with threads_of(box) as pool:
        box.put(held(1, size=19))
        box.drop()
        box.put(held(2, size=5))
        (taken,) = asleep(pool, box)
        assert not taken.done()
        box.put(held(3, size=15))
        assert tags(taken.result(10)) == [2, 3]


@pytest.mark.parametrize("before", [lambda _: None, lambda box: box.put(held(1))])
def test_a_closed_inbox_ends_every_thread_and_gives_out_nothing(
    before: Callable[[Inbox], None],
) -> None:
    box = inbox()
    before(box)
    with threads_of(box) as pool:
        futures = asleep(pool, box, threads=3)
        box.close()
        assert [future.result(10) for future in futures] == [[], [], []]
    box.put(held(2, size=1000))
    assert box.take() == []


def test_many_threads_take_every_delivery_exactly_once() -> None:
    box = inbox(chunk_bytes=55, wait=0.001)
    count, takers = 3000, 6
    taken: list[int] = []
    lock = threading.Lock()

    def take() -> None:
        while chunk := box.take():
            assert sum(len(one.delivery.body) for one in chunk) <= 55
            with lock:
                taken.extend(tags(chunk))

    def put(queue: str, first: int) -> None:
        for tag in range(first, count, len(QUEUES)):
            box.put(held(tag, queue=queue))

    with threads_of(box) as pool:
        workers = [pool.submit(take) for _ in range(takers)]
        fillers = [pool.submit(put, queue, lane) for lane, queue in enumerate(QUEUES)]
        for filler in fillers:
            filler.result(30)
        wait_until(lambda: len(taken) >= count, what="all to be taken")
        box.close()
        for worker in workers:
            worker.result(10)
    assert sorted(taken) == list(range(count))


def test_a_queue_that_is_added_has_its_place_and_the_others_keep_what_they_hold() -> None:
    box = inbox(wait=0)
    box.put(held(1))
    box.cover(("high", "high.1", "normal", "low"))
    box.put(held(2, queue="high.1"))
    box.put(held(3, queue="high"))
    assert tags(box.take()) == [3, 2, 1]
