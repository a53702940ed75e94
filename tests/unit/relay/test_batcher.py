"""The batcher: which reports travel together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from relay.batcher import Batcher, Closed
from schemas.topology import incoming

QUEUES = incoming(shards=2)
NORMAL, LOW = "statesys.incoming", "statesys.incoming.low.1"
SOME = st.sampled_from(QUEUES)


def batcher(*, max_bytes: int = 100, linger: float = 5.0) -> Batcher:
    return Batcher("r", max_bytes=max_bytes, linger=linger)


def smx(size: int, number: int = 0) -> bytes:
    """An element of `size` bytes, at least 20."""
    head = b"<SMX n='%d'>" % number
    return head + b"x" * (size - len(head) - 6) + b"</SMX>"


def inside(batch: Closed) -> bytes:
    return batch.body[batch.body.index(b">") + 1 : -len(b"</Batch>")]


def test_a_batch_is_closed_before_it_grows_over_its_size() -> None:
    found = batcher()
    assert found.add(NORMAL, 1, smx(60), 3, now=0) is None
    assert found.add(NORMAL, 2, smx(40), 4, now=0) is None
    full = found.add(NORMAL, 3, smx(20), 5, now=0)
    assert full is not None
    assert (full.queue, full.tags, full.messages) == (NORMAL, (1, 2), 7)
    assert inside(full) == smx(60) + smx(40)
    assert str(full.batch_id).encode() in full.body
    # By default a report is none of the canonical ones.
    assert full.canonical == 0
    (rest,) = found.close_all()
    assert (rest.tags, rest.messages) == ((3,), 5)


def test_canonical_reports_stand_first_in_their_batch() -> None:
    found = batcher()
    for tag, canonical in enumerate((False, True, False, True)):
        assert found.add(NORMAL, tag, smx(25, tag), 1, now=0, canonical=canonical) is None
    (batch,) = found.close_all()
    assert inside(batch) == smx(25, 1) + smx(25, 3) + smx(25, 0) + smx(25, 2)
    assert batch.tags == (0, 1, 2, 3)
    assert batch.canonical == 2


def test_a_report_over_the_size_travels_alone() -> None:
    found = batcher()
    assert found.add(NORMAL, 1, smx(20), 1, now=0) is None
    for tag in (2, 3):
        full = found.add(NORMAL, tag, smx(500), 1, now=0)
        assert full is not None
        assert full.tags == (tag - 1,)
    assert [batch.tags for batch in found.close_all()] == [(3,)]


def test_queues_do_not_mix() -> None:
    found = batcher()
    for tag, queue in enumerate(QUEUES):
        assert found.add(queue, tag, smx(60), 1, now=0) is None
    assert {batch.queue: batch.tags for batch in found.close_all()} == {
        queue: (tag,) for tag, queue in enumerate(QUEUES)
    }


def test_a_batch_lingers_from_its_first_report() -> None:
    found = batcher()
    assert found.wait(now=0) is None
    found.add(NORMAL, 1, smx(20), 1, now=10)
    found.add(NORMAL, 2, smx(20), 1, now=14)
    found.add(LOW, 3, smx(20), 1, now=14)
    assert found.wait(now=12) == pytest.approx(3)
    assert found.overdue(now=14.9) == []
    assert [batch.tags for batch in found.overdue(now=15)] == [(1, 2)]
    assert found.wait(now=15) == pytest.approx(4)
    assert found.wait(now=30) == 0


def test_nothing_is_left_after_closing() -> None:
    found = batcher()
    found.add(NORMAL, 1, smx(20), 1, now=0)
    found.close_all()
    assert (found.close_all(), found.overdue(now=100), found.wait(now=0)) == ([], [], None)


@given(
    st.lists(st.tuples(SOME, st.integers(20, 150), st.integers(0, 3))),
    st.integers(20, 300),
    st.floats(0, 10),
)
def test_every_report_leaves_once_in_order_and_in_a_batch_of_its_queue(
    reports: list[tuple[str, int, int]], max_bytes: int, linger: float
) -> None:
    found = batcher(max_bytes=max_bytes, linger=linger)
    closed: list[Closed] = []
    now = 0.0
    for tag, (queue, size, pause) in enumerate(reports):
        now += pause
        closed += found.overdue(now)
        full = found.add(queue, tag, smx(size, tag), 1, now)
        closed += [full] if full else []
    closed += found.close_all()
    assert len({batch.batch_id for batch in closed}) == len(closed)
    for batch in closed:
        assert len(inside(batch)) <= max_bytes or len(batch.tags) == 1
        numbers = [int(str(one.get("n"))) for one in etree.fromstring(batch.body)]
        assert tuple(numbers) == batch.tags
        assert batch.messages == len(batch.tags)
    for queue in QUEUES:
        tags = [tag for batch in closed if batch.queue == queue for tag in batch.tags]
        assert tags == [tag for tag, (theirs, *_) in enumerate(reports) if theirs == queue]
