"""The broker session, on a real broker."""

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from runtime.broker import (
    Administration,
    Delivery,
    Event,
    Message,
    Nothing,
    PublishOutcome,
    Session,
    persistent,
)
from runtime.broker.administration import QueueDepth
from runtime.broker.events import Measured
from schemas.errors import BrokerUnavailable
from schemas.topology import DEAD, REPORTS
from tests.support.brokers import cut, fill, vhost
from tests.support.management import Management
from tests.support.waiting import wait_until

E = TypeVar("E", bound=Event)


def collect(session: Session, kind: type[E], count: int) -> list[E]:
    """Poll until `count` events of a kind came; there must be no others."""
    found: list[E] = []

    def enough() -> bool:
        for event in session.poll(0.05):
            assert isinstance(event, kind), event
            found.append(event)
        return len(found) >= count

    wait_until(enough, what=f"{count} events of {kind.__name__}")
    assert len(found) == count
    return found


def send(session: Session, *tokens: object, queue: str = DEAD) -> None:
    for token in tokens:
        session.publish(Message(queue, str(token).encode(), persistent(), token))


def test_every_publish_is_confirmed_once(session: Session, admin: Administration) -> None:
    send(session, *range(100))
    assert session.unconfirmed == 100
    assert {s.token: s.problem for s in collect(session, PublishOutcome, 100)} == dict.fromkeys(
        range(100)
    )
    assert session.unconfirmed == 0
    assert admin.depth(DEAD) == QueueDepth(100, 0)


def test_a_publish_to_nowhere_is_returned_and_only_that_one(session: Session) -> None:
    send(session, "a")
    send(session, "b", queue="no.such.queue")
    send(session, "c")
    send(session, "d", queue="no.such.queue")
    problems = {s.token: s.problem for s in collect(session, PublishOutcome, 4)}
    assert (problems["a"], problems["c"]) == (None, None)
    assert problems["b"] == problems["d"] == "returned: NO_ROUTE"


def test_a_full_queue_nacks(session: Session, amqp_url: str, management: Management) -> None:
    limit = {"pattern": "^mp_", "definition": {"max-length": 5}, "apply-to": "queues"}
    management.call("PUT", "policies", vhost(amqp_url), "limit", body=limit)

    def problem() -> str:
        send(session, 1, queue=REPORTS)
        (settled,) = collect(session, PublishOutcome, 1)
        return settled.problem or ""

    assert wait_until(problem, what="the limit to take effect").startswith("nack")


def test_deliveries_bring_what_was_published(session: Session, admin: Administration) -> None:
    admin.publish(
        routing_key=DEAD,
        body=b"b",
        properties=persistent(message_id="m", headers={"a": 1}),
    )
    session.consume(DEAD, prefetch=10)
    (delivery,) = collect(session, Delivery, 1)
    assert (delivery.queue, delivery.body, delivery.redelivered) == (DEAD, b"b", False)
    assert delivery.properties.message_id == "m"
    assert (delivery.properties.headers or {})["a"] == 1


def test_one_ack_settles_all_before_it(session: Session, admin: Administration) -> None:
    fill(admin, b"1", b"2", b"3")
    session.consume(DEAD, prefetch=10)
    _, second, _ = collect(session, Delivery, 3)
    session.ack(second.tag, up_to=True)
    session.close()
    third = wait_until(lambda: admin.take(DEAD), what="the third to come back")
    assert third is not None
    assert third.body == b"3"
    assert admin.take(DEAD) is None


def test_a_requeued_delivery_comes_again_and_says_so(
    session: Session, admin: Administration
) -> None:
    fill(admin, b"1")
    first = admin.take(DEAD)
    assert first is not None
    admin.requeue(first.tag)
    session.consume(DEAD, prefetch=10)
    (second,) = collect(session, Delivery, 1)
    assert (second.body, second.redelivered) == (b"1", True)


def test_one_message_is_fetched_for_each_question(session: Session, admin: Administration) -> None:
    fill(admin, b"1", b"2")
    for body in (b"1", b"2"):
        session.fetch(DEAD)
        (delivery,) = collect(session, Delivery, 1)
        assert (delivery.queue, delivery.body, delivery.redelivered) == (DEAD, body, False)
        session.ack(delivery.tag)
    for queue in (DEAD, REPORTS):
        session.fetch(queue)
        assert collect(session, Nothing, 1) == [Nothing(queue)]


def test_what_was_fetched_and_not_settled_comes_back(
    session: Session, admin: Administration
) -> None:
    fill(admin, b"1")
    session.fetch(DEAD)
    collect(session, Delivery, 1)
    session.close()
    again = wait_until(lambda: admin.take(DEAD), what="it to come back")
    assert again is not None
    assert again.redelivered


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (2, 10), (10, 10), (12, 12)])
def test_no_more_than_the_prefetch_is_held(
    session: Session, admin: Administration, asked: int, given: int
) -> None:
    fill(admin, *[b"x"] * 15)
    session.consume(DEAD, prefetch=asked)
    collect(session, Delivery, given)
    assert admin.depth(DEAD) == QueueDepth(15 - given, 1)


def test_measuring_tells_ready_messages_and_consumers(
    session: Session, admin: Administration
) -> None:
    fill(admin, b"1", b"2")
    session.measure(DEAD)
    session.measure(REPORTS)
    assert collect(session, Measured, 2) == [Measured(DEAD, 2), Measured(REPORTS, 0)]


def test_after_a_cancel_nothing_more_comes(session: Session, admin: Administration) -> None:
    def consumers(number: int) -> None:
        def seen() -> bool:
            assert session.poll(0.05) == []
            return admin.depth(DEAD) == QueueDepth(0, number)

        wait_until(seen, what=f"{number} consumers")

    session.consume(DEAD, prefetch=10)
    consumers(1)
    session.cancel()
    consumers(0)
    fill(admin, b"1")
    session.measure(DEAD)
    assert collect(session, Measured, 1) == [Measured(DEAD, 1)]


def test_consuming_goes_on_after_a_cancel(session: Session, admin: Administration) -> None:
    session.consume(DEAD, prefetch=10)
    session.cancel()
    session.consume(DEAD, prefetch=10)
    fill(admin, b"1")
    (delivery,) = collect(session, Delivery, 1)
    assert delivery.body == b"1"


def test_another_thread_wakes_a_poll(session: Session) -> None:
    # Without the wake-up, the poll would outlast the test's timeout.
    waker = threading.Timer(0.05, session.wake)
    waker.start()
    assert session.poll(3600) == []
    waker.join()


def test_a_lost_connection_is_told_by_the_next_poll_and_for_ever(
    session: Session, amqp_url: str, management: Management
) -> None:
    cut(management, amqp_url, "test session")
    for _ in range(2):
        with pytest.raises(BrokerUnavailable, match="320"):
            wait_until(lambda: session.poll(0.1) and False, what="the connection to be lost")
    calls: list[Callable[[], None]] = [
        lambda: send(session, 1),
        lambda: session.ack(1),
        lambda: session.measure(DEAD),
        lambda: session.consume(DEAD, prefetch=1),
    ]
    for call in calls:
        with pytest.raises(BrokerUnavailable):
            call()
    session.close()
    session.close()


def test_the_end_of_a_consumed_queue_ends_the_session(
    session: Session, amqp_url: str, management: Management
) -> None:
    session.consume(DEAD, prefetch=10)
    session.measure(DEAD)
    collect(session, Measured, 1)
    management.call("DELETE", "queues", vhost(amqp_url), DEAD)
    with pytest.raises(BrokerUnavailable, match="deleted"):
        collect(session, Delivery, 1)


def test_a_measured_queue_must_exist(session: Session) -> None:
    session.measure("no.such.queue")
    with pytest.raises(BrokerUnavailable, match="404"):
        collect(session, Measured, 1)
