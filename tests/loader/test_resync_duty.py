"""The resync duty against a real broker: a request is a row, then a message, then marked."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from loader.resync import ResyncDuty
from loader.store import ChunkStore, ResyncStore
from runtime.broker import Administration, persistent
from schemas.report import Lane
from schemas.resync import ResyncReason, parse_request
from schemas.topology import INCOMING, QUEUES, RESYNC, reply_queue
from tests.loader.world import CLIENT, Tables, load, message, report

QUEUE = reply_queue(UUID("0123abcd-0000-4000-8000-000000000000"))
Run = Callable[..., None]


@pytest.fixture
def run(amqp_url: str, open_resyncs: Callable[..., ResyncStore]) -> Run:
    with Administration(amqp_url, name="test") as desk:
        desk.declare([*QUEUES, QUEUE])

    def run_once(*, min_age: timedelta = timedelta(0), backlog: int = 10) -> None:
        ResyncDuty(
            lambda: open_resyncs(min_age=min_age, merge=timedelta(0)),
            amqp_url,
            check_interval=timedelta(microseconds=1),
            min_missing_age=min_age,
            per_check=10,
            backlog_threshold=backlog,
        ).run()

    return run_once


def _lose_serial_one(store: ChunkStore, reply_to: str | None = QUEUE.name) -> None:
    load(store, report(message(2)), reply_to=reply_to)


def test_a_due_client_is_asked_on_its_own_queue(
    run: Run, store: ChunkStore, tables: Tables, amqp_url: str
) -> None:
    _lose_serial_one(store)
    run()
    with Administration(amqp_url, name="test") as desk:
        delivery = desk.take(QUEUE.name)
        assert delivery is not None
        desk.ack(delivery.tag)
    request = parse_request(delivery.body)
    assert (request.client_id, request.reason) == (CLIENT, ResyncReason.MISSING)
    assert [tuple(r) for r in request.ranges] == [(1, 1)]
    properties = delivery.properties
    assert properties.correlation_id == str(request.request_id)
    assert properties.delivery_mode == 2
    # At least a minute, however short the age: a client may be between two cycles.
    assert properties.expiration == "60000"
    assert tables.rows("SELECT sent_at IS NOT NULL, attempts FROM resync_request") == [(True, 1)]


def test_a_client_that_named_no_queue_is_asked_on_the_common_one(
    run: Run, store: ChunkStore, amqp_url: str
) -> None:
    _lose_serial_one(store, reply_to=None)
    run()
    with Administration(amqp_url, name="test") as desk:
        assert desk.take(RESYNC) is not None


def test_a_request_that_no_queue_takes_is_marked_so(
    run: Run, store: ChunkStore, tables: Tables
) -> None:
    _lose_serial_one(store, reply_to="statesys.resync.ffffffff")
    run()
    assert [row[:2] for row in tables.requests()] == [("missing", "unroutable")]
    assert tables.rows("SELECT sent_at FROM resync_request") == [(None,)]


def test_nobody_is_asked_under_backlog(
    run: Run, store: ChunkStore, tables: Tables, amqp_url: str
) -> None:
    _lose_serial_one(store)
    with Administration(amqp_url, name="test") as desk:
        for _ in range(2):
            desk.publish(
                routing_key=INCOMING[Lane.NORMAL], body=b"<Batch/>", properties=persistent()
            )
    run(backlog=1)
    assert tables.requests() == []
    # Once the loaders have caught up, at the next check.
    with Administration(amqp_url, name="test") as desk:
        desk.purge(INCOMING[Lane.NORMAL])
    run(backlog=1)
    assert len(tables.requests()) == 1


def test_an_operators_request_is_sent_under_backlog_too(
    run: Run,
    store: ChunkStore,
    open_resyncs: Callable[..., ResyncStore],
    amqp_url: str,
) -> None:
    load(store, report(message(1)), reply_to=QUEUE.name)
    with Administration(amqp_url, name="test") as desk:
        desk.publish(routing_key=INCOMING[Lane.NORMAL], body=b"<Batch/>", properties=persistent())
    resyncs = open_resyncs()
    assert resyncs.request(CLIENT, now=resyncs.now()) is not None
    run(min_age=timedelta(hours=1), backlog=0)
    with Administration(amqp_url, name="test") as desk:
        delivery = desk.take(QUEUE.name)
    assert delivery is not None
    assert delivery.properties.expiration == "3600000"
