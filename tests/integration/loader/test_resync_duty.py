"""The resync task on a real broker: it stores a request, publishes it, then marks it as sent."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from loader.resync import ResyncTask
from loader.store.chunks import ChunkStore
from loader.store.resyncs import ResyncStore
from loader.store.sites import RunningLoader
from runtime.broker import Administration, persistent
from runtime.rules import SiteRules
from runtime.settings import Settings
from runtime.workers import HeartbeatFile
from runtime.workers.periodic import PeriodicTask
from schemas.errors import BrokerUnavailable, StatesysError
from schemas.report import Lane
from schemas.resync import ResyncReason, parse_request
from schemas.topology import INCOMING, QUEUES, RESYNC, reply_queue
from tests.support.management import Management
from tests.support.waiting import wait_until
from tests.support.world import CLIENT, Tables, load, message, report

QUEUE = reply_queue(UUID("0123abcd-0000-4000-8000-000000000000"))
S = timedelta(seconds=1)
RULES = SiteRules.of(Settings())._replace(resync_merge_interval=timedelta(0), resyncs_per_check=10)
Run = Callable[..., timedelta]


@pytest.fixture
def run(amqp_url: str, open_resyncs: Callable[..., ResyncStore]) -> Run:
    with Administration(amqp_url, name="test") as admin:
        admin.declare([*QUEUES, QUEUE])

    def run_once(
        *,
        min_age: timedelta = timedelta(0),
        backlog: int = 10,
        interval: timedelta = timedelta(microseconds=1),
    ) -> timedelta:
        rules = RULES._replace(
            min_missing_message_age=min_age,
            resync_check_interval=interval,
            resync_backlog_threshold=backlog,
        )
        loader = RunningLoader.here(rules)
        store = open_resyncs(min_age=None, merge=None)
        store.site.start(loader)
        return ResyncTask(
            lambda: open_resyncs(min_age=None, merge=None), amqp_url, loader=loader
        ).run()

    return run_once


def _lose_serial_one(store: ChunkStore, reply_to: str | None = QUEUE.name) -> None:
    load(store, report(message(2)), reply_to=reply_to)


def test_a_due_client_is_asked_on_its_own_queue(
    run: Run, store: ChunkStore, tables: Tables, amqp_url: str
) -> None:
    _lose_serial_one(store)
    run()
    with Administration(amqp_url, name="test") as admin:
        delivery = admin.take(QUEUE.name)
        assert delivery is not None
        admin.ack(delivery.tag)
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
    with Administration(amqp_url, name="test") as admin:
        assert admin.take(RESYNC) is not None


def test_a_request_that_no_queue_takes_is_marked_so(
    run: Run, store: ChunkStore, tables: Tables
) -> None:
    _lose_serial_one(store, reply_to="statesys.resync.ffffffff")
    run()
    assert [row[:2] for row in tables.requests()] == [("missing", "unroutable")]
    assert tables.rows("SELECT sent_at FROM resync_request") == [(None,)]


def test_a_request_that_the_broker_refuses_stays_unsent(
    run: Run, store: ChunkStore, tables: Tables, amqp_url: str, management: Management
) -> None:
    full = {"max-length": 1, "overflow": "reject-publish"}
    limit = {"pattern": f"^{QUEUE.name}$", "definition": full, "apply-to": "queues"}
    management.call("PUT", "policies", urlsplit(amqp_url).path[1:], "full", body=limit)
    with Administration(amqp_url, name="test") as admin:

        def refuses() -> bool:
            try:
                admin.publish(routing_key=QUEUE.name, body=b"", properties=persistent())
            except StatesysError:
                return True
            return False

        wait_until(refuses, what="the limit to take effect")
        _lose_serial_one(store)
        with pytest.raises(BrokerUnavailable, match="not taken"):
            run()
        assert tables.rows("SELECT sent_at, attempts, closed_at FROM resync_request") == [
            (None, 0, None)
        ]
        admin.purge(QUEUE.name)
        run()
        assert admin.take(QUEUE.name) is not None
    assert tables.rows("SELECT sent_at IS NOT NULL, attempts FROM resync_request") == [(True, 1)]


def test_nobody_is_asked_under_backlog(
    run: Run, store: ChunkStore, tables: Tables, amqp_url: str
) -> None:
    _lose_serial_one(store)
    with Administration(amqp_url, name="test") as admin:
        for _ in range(2):
            admin.publish(
                routing_key=INCOMING[Lane.NORMAL], body=b"<Batch/>", properties=persistent()
            )
    run(backlog=1)
    assert tables.requests() == []
    # Once the loaders have caught up, at the next check.
    with Administration(amqp_url, name="test") as admin:
        admin.purge(INCOMING[Lane.NORMAL])
    run(backlog=1)
    assert len(tables.requests()) == 1


def test_an_operators_request_is_sent_under_backlog_too(
    run: Run,
    store: ChunkStore,
    open_resyncs: Callable[..., ResyncStore],
    amqp_url: str,
) -> None:
    load(store, report(message(1)), reply_to=QUEUE.name)
    with Administration(amqp_url, name="test") as admin:
        admin.publish(routing_key=INCOMING[Lane.NORMAL], body=b"<Batch/>", properties=persistent())
    resyncs = open_resyncs()
    assert resyncs.request(CLIENT, now=resyncs.now()) is not None
    run(min_age=timedelta(hours=1), backlog=0)
    with Administration(amqp_url, name="test") as admin:
        delivery = admin.take(QUEUE.name)
    assert delivery is not None
    assert delivery.properties.expiration == "3600000"


def test_a_request_waits_for_its_moment_and_the_duty_knows_when(
    run: Run, store: ChunkStore, tables: Tables
) -> None:
    def sent() -> bool:
        return tables.rows("SELECT FROM resync_request WHERE sent_at IS NULL") == []

    def moves(seconds: int) -> None:
        tables.rows("UPDATE resync_request SET requested_at = now() + %s RETURNING 1", seconds * S)

    _lose_serial_one(store)
    run(interval=timedelta(days=1))
    for seconds, pause in ((3600, 60 * S), (20, 20 * S)):
        moves(seconds)
        # Many requests may be due at different moments; the task runs at most every five seconds.
        assert 5 * S <= run(interval=timedelta(days=1)) <= pause
        assert not sent()
    moves(0)
    assert run(interval=timedelta(days=1)) == 60 * S
    assert sent()
    # With a short interval the next run sends all requests.
    assert run() == timedelta(microseconds=1)


def test_a_duty_that_wants_to_be_done_sooner_than_on_its_interval_is(tmp_path: Path) -> None:
    stop, calls = threading.Event(), []

    def act() -> timedelta | None:
        calls.append(1)
        return timedelta(0) if len(calls) < 3 else None

    duty = PeriodicTask(
        "test", act, every=timedelta(hours=1), stop=stop, heartbeat=HeartbeatFile(tmp_path, "test")
    )
    duty.start()
    wait_until(lambda: len(calls) == 3, timeout=60, what="two more turns")
    stop.set()
    duty.join(60)
    assert (len(calls), duty.failure) == (3, None)
