"""Broker administration on a real broker."""

import pytest

from runtime.broker import Administration, persistent
from runtime.broker.administration import QueueDepth
from schemas.errors import BrokerUnavailable, NotTaken
from schemas.topology import DEAD, QUEUES, REPORTS
from tests.support.brokers import cut, fill, vhost
from tests.support.management import Management
from tests.support.waiting import wait_until


def test_declaring_creates_what_is_missing_and_verifies_the_rest(amqp_url: str) -> None:
    with Administration(amqp_url, name="test") as admin:
        assert admin.depth(DEAD) is None
        for _ in range(2):
            assert admin.declare(QUEUES) == []
        assert all(admin.depth(queue.name) == QueueDepth(0, 0) for queue in QUEUES)


def test_the_exchange_of_reports_leads_to_their_queue(admin: Administration) -> None:
    admin.publish(exchange=REPORTS, routing_key=REPORTS, body=b"1", properties=persistent())
    assert admin.depth(REPORTS) == QueueDepth(1, 0)


def test_taken_messages_are_settled_one_way_or_the_other(admin: Administration) -> None:
    fill(admin, b"1", b"2", b"3")
    taken = [admin.take(DEAD) for _ in range(4)]
    assert [t.body if t else None for t in taken] == [b"1", b"2", b"3", None]
    first, second, third, _ = taken
    assert first
    assert second
    assert third
    admin.ack(second.tag)
    admin.requeue(third.tag, up_to=True)
    again = {delivery.body for _ in range(2) if (delivery := admin.take(DEAD))}
    assert again == {b"1", b"3"}


def test_an_errand_that_nobody_takes_fails_and_the_next_one_works(
    admin: Administration, amqp_url: str, management: Management
) -> None:
    with pytest.raises(NotTaken, match="no queue"):
        fill(admin, b"1", queue="no.such.queue")
    limit = {"pattern": "^mp_", "definition": {"max-length": 2}, "apply-to": "queues"}
    management.call("PUT", "policies", vhost(amqp_url), "limit", body=limit)
    with pytest.raises(NotTaken, match="did not take"):
        wait_until(lambda: fill(admin, b"1", queue=REPORTS), what="the limit to take effect")
    fill(admin, b"1")
    assert admin.depth(DEAD) == QueueDepth(1, 0)


def test_a_lost_errand_is_told(
    admin: Administration, amqp_url: str, management: Management
) -> None:
    cut(management, amqp_url, "test desk")
    with pytest.raises(BrokerUnavailable):
        wait_until(lambda: admin.depth(DEAD) is None, what="the connection to be lost")
