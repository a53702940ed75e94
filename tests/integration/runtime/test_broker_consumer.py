"""What a consumer holds, when it pauses, and when there is nothing left."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from runtime.broker import Administration, Consumer, Delivery, Session
from runtime.broker.administration import QueueDepth
from schemas.topology import DEAD, REPORTS, RESYNC
from tests.support.brokers import fill
from tests.support.waiting import wait_until


@pytest.fixture
def session(amqp_url: str, admin: Administration) -> Iterator[Session]:
    """A session on a broker with all queues."""
    assert admin.depth(DEAD)
    with closing(Session(amqp_url, name="test consumer")) as found:
        yield found


def take(consumer: Consumer, count: int) -> list[Delivery]:
    """Poll until `count` deliveries came."""
    found: list[Delivery] = []

    def enough() -> bool:
        found.extend(one for one in consumer.poll(0.05) if isinstance(one, Delivery))
        return len(found) >= count

    wait_until(enough, what=f"{count} deliveries")
    return found


def settle(consumer: Consumer, delivery: Delivery) -> None:
    consumer.release(delivery.tag)
    consumer.session.ack(delivery.tag)


def test_what_is_held_is_counted_until_it_is_released(
    session: Session, admin: Administration
) -> None:
    fill(admin, b"1", b"22")
    fill(admin, b"333", queue=REPORTS)
    consumer = Consumer(session, [DEAD, REPORTS], prefetch=10)
    consumer.start()
    deliveries = take(consumer, 3)
    assert (len(consumer), consumer.held_bytes) == (3, 6)
    for delivery in deliveries:
        assert delivery.tag in consumer
        settle(consumer, delivery)
        assert delivery.tag not in consumer
    assert (len(consumer), consumer.held_bytes) == (0, 0)


def test_it_is_saturated_when_the_prefetch_is_held(session: Session, admin: Administration) -> None:
    fill(admin, *[b"x"] * 15)
    consumer = Consumer(session, [DEAD], prefetch=3)
    assert consumer.prefetch == 10, "as the session asks for it"
    consumer.start()
    first, *_ = take(consumer, 10)
    assert consumer.saturated
    consumer.release(first.tag)
    assert not consumer.saturated


def test_it_pauses_above_the_limit_and_goes_on_below(
    session: Session, admin: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.broker.consumer.HELD_LIMIT", 150)
    monkeypatch.setattr("runtime.broker.consumer.HELD_AGAIN", 60)
    fill(admin, *[b"x" * 10] * 50)
    consumer = Consumer(session, [DEAD], prefetch=20)
    consumer.start()
    held = take(consumer, 20)
    assert [consumer.control(), consumer.control()] == [True, False], "it pauses once"
    assert consumer.saturated
    assert consumer.prefetch == 10
    for delivery in held[:14]:
        settle(consumer, delivery)
    for _ in range(5):
        assert consumer.poll(0.05) == []
        assert not consumer.control(), "60 bytes are not below 60"
    assert consumer.saturated
    settle(consumer, held[14])
    assert not consumer.control()
    assert len(take(consumer, 10)) == 10


def test_it_is_empty_after_a_second_of_nothing(session: Session, admin: Administration) -> None:
    fill(admin, b"1")
    consumer = Consumer(session, [DEAD], prefetch=10)

    def empty() -> bool:
        came = [one for one in consumer.poll(0.05) if isinstance(one, Delivery)]
        for delivery in came:
            settle(consumer, delivery)
        return consumer.empty()

    for _ in range(25):
        assert not empty(), "one is ready"
    consumer.start()
    wait_until(empty, what="an empty queue")
    assert admin.depth(DEAD) == QueueDepth(0, 1)


def test_a_queue_that_is_added_is_consumed_also_after_a_pause(
    session: Session, admin: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.broker.consumer.HELD_LIMIT", 5)
    monkeypatch.setattr("runtime.broker.consumer.HELD_AGAIN", 5)
    fill(admin, b"long enough")
    consumer = Consumer(session, [DEAD], prefetch=10)
    consumer.cover([DEAD, REPORTS])
    consumer.start()
    (first,) = take(consumer, 1)
    assert consumer.control(), "it pauses"
    consumer.cover([DEAD, REPORTS, RESYNC])
    fill(admin, b"1", queue=RESYNC)
    fill(admin, b"2", queue=REPORTS)
    settle(consumer, first)
    assert not consumer.control(), "it goes on"
    found = take(consumer, 2)
    consumer.cover([DEAD, REPORTS, RESYNC])
    assert {one.body for one in found} == {b"1", b"2"}
    assert (admin.depth(RESYNC), admin.depth(REPORTS)) == (QueueDepth(0, 1), QueueDepth(0, 1))
