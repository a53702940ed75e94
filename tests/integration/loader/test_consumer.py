"""The batch consumer: one suspect at a time after a start, and tags that belong to one session."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from loader.consumer import BatchConsumer
from loader.inbox import Held, Inbox
from schemas.errors import BrokerUnavailable
from schemas.report import Lane
from schemas.topology import INCOMING
from tests.support.inboxes import batches_in
from tests.support.management import Management
from tests.support.processes import NORMAL, fill, ready, return_all, take_all
from tests.support.waiting import wait_until

PREFETCH = 50
QUEUES = list(INCOMING.values())


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(QUEUES, chunk_bytes=1_000_000_000, wait=0, together=1)


@pytest.fixture
def intake(amqp_url: str, inbox: Inbox) -> Iterator[BatchConsumer]:
    fill(amqp_url, [])
    found = BatchConsumer(amqp_url, queues=QUEUES, inbox=inbox, prefetch=PREFETCH)
    yield found
    found.close()


def bodies(count: int, *, size: int = 3) -> list[bytes]:
    return [f"{number:0{size}}".encode() for number in range(count)]


def step_until(intake: BatchConsumer, done: Callable[[], object], *, what: str) -> None:
    """Call `turn` until `done` returns something true."""

    def turned() -> object:
        intake.step()
        return done()

    wait_until(turned, what=what)


def connect_past_care(intake: BatchConsumer) -> None:
    """Connect while there are no suspects, so that later deliveries may all be held at once."""
    intake.connect()
    step_until(intake, lambda: intake._round is None, what="the end of the care")


def turn_until_empty(intake: BatchConsumer) -> None:
    """Call `turn` until the consumer says that nothing is left."""
    step_until(intake, intake.empty, what="empty queues")


def step_some(intake: BatchConsumer) -> None:
    """Call `turn` often enough to receive every delivery that can come."""
    for _ in range(5):
        intake.step()


def texts(chunk: list[Held]) -> list[str]:
    return [held.delivery.body.decode() for held in chunk]


def take_one(intake: BatchConsumer, inbox: Inbox) -> Held:
    """Wait for a delivery, and check that no second one comes."""
    step_until(intake, lambda: batches_in(inbox), what="the next")
    step_some(intake)
    (held,) = inbox.take()
    assert intake.held == 1
    return held


def test_suspects_of_all_queues_are_held_one_at_a_time(
    amqp_url: str, inbox: Inbox, intake: BatchConsumer
) -> None:
    for queue in QUEUES:
        fill(amqp_url, bodies(2), queue=queue)
        return_all(amqp_url, queue)
        fill(amqp_url, [b"fresh"] * 10, queue=queue)
    intake.connect()
    came: list[tuple[int, bool]] = []
    while len(came) < 13:
        held = take_one(intake, inbox)
        came.append((QUEUES.index(held.delivery.queue), held.delivery.redelivered))
        intake.settle([held])
    high, normal, low = range(3)
    # Urgent queues go first; each suspect lets one fresh batch of each more urgent queue pass.
    assert came == [
        *[(high, True), (high, True)],
        *[(high, False), (normal, True), (high, False), (normal, True)],
        *[(high, False), (normal, False), (low, True)],
        *[(high, False), (normal, False), (low, True)],
        (high, False),
    ]
    for lane in (normal, low):
        held = take_one(intake, inbox)
        assert (QUEUES.index(held.delivery.queue), held.delivery.redelivered) == (lane, False)
        intake.settle([held])
    # After a round without a suspect, all the others come without an ack.
    step_until(intake, lambda: batches_in(inbox) == 30 - 5 - 3 - 1, what="everything else")


def test_a_suspect_that_was_read_and_refused_holds_up_nothing(
    amqp_url: str, inbox: Inbox, intake: BatchConsumer
) -> None:
    fill(amqp_url, bodies(3))
    return_all(amqp_url)
    intake.connect()
    refused = take_one(intake, inbox)
    intake.trust(refused)
    step_until(intake, lambda: batches_in(inbox), what="the next beside it")
    step_some(intake)
    (suspect,) = inbox.take()
    assert intake.held == 2, "the next one is a suspect, and alone with it"
    intake.settle([refused])
    step_until(intake, lambda: intake.held == 1, what="the ack")
    step_some(intake)
    assert batches_in(inbox) == 0, "the suspect is still in hand"
    intake.settle([suspect])
    step_until(intake, lambda: batches_in(inbox), what="the last")


def test_empty_queues_hold_up_nothing(amqp_url: str, inbox: Inbox, intake: BatchConsumer) -> None:
    fill(amqp_url, bodies(1), queue=QUEUES[-1])
    return_all(amqp_url, QUEUES[-1])
    intake.connect()
    suspect = take_one(intake, inbox)
    assert suspect.delivery.redelivered
    intake.settle([suspect])
    step_until(intake, lambda: intake._round is None, what="the end of the care")
    fill(amqp_url, bodies(5))
    step_until(intake, lambda: batches_in(inbox) == 5, what="all of them")


def test_what_is_held_alone_is_given_out_at_once(amqp_url: str) -> None:
    fill(amqp_url, bodies(1))
    # Neither full nor overdue: nothing more can come, so there is nothing to wait for.
    inbox = Inbox(QUEUES, chunk_bytes=1_000_000_000, wait=3600, together=1)
    intake = BatchConsumer(amqp_url, queues=QUEUES, inbox=inbox, prefetch=PREFETCH)
    with ThreadPoolExecutor(1) as pool:
        try:
            intake.connect()
            taken = pool.submit(inbox.take)
            step_until(intake, taken.done, what="the batch")
            assert texts(taken.result()) == ["000"]
        finally:
            inbox.close()
            intake.close()


def test_a_new_session_is_cautious_again(
    amqp_url: str, inbox: Inbox, intake: BatchConsumer
) -> None:
    connect_past_care(intake)
    fill(amqp_url, bodies(10))
    step_until(intake, lambda: batches_in(inbox) == 10, what="all of them")
    intake.connect()
    assert batches_in(inbox) == 0, "what another session held is void"
    step_until(intake, lambda: batches_in(inbox), what="the first of them again")
    step_some(intake)
    assert batches_in(inbox) == 1


def test_a_tag_is_never_acked_on_another_session(
    amqp_url: str, inbox: Inbox, intake: BatchConsumer
) -> None:
    connect_past_care(intake)
    fill(amqp_url, bodies(8))
    step_until(intake, lambda: batches_in(inbox) == 8, what="all of them")
    old = inbox.take()
    intake.connect()
    step_until(intake, lambda: batches_in(inbox), what="the first of them again")
    # The new session also has a tag 1, but the old chunk's tags 1 to 8 belong to the old session.
    intake.settle(old)
    step_some(intake)
    intake.close()
    wait_until(lambda: ready(amqp_url) == 8, what="all to be back")
    assert sorted(d.body for d in take_all(amqp_url, NORMAL)) == bodies(8)


def test_settling_twice_acks_once(amqp_url: str, inbox: Inbox, intake: BatchConsumer) -> None:
    connect_past_care(intake)
    fill(amqp_url, bodies(8))
    step_until(intake, lambda: batches_in(inbox) == 8, what="all of them")
    chunk = inbox.take()
    intake.settle(chunk[:4])
    intake.settle(chunk[:4])
    # For a second ack of a tag, RabbitMQ would close the channel; the next frames would tell.
    step_some(intake)
    intake.settle(chunk[4:])
    intake.finish()
    intake.close()
    assert ready(amqp_url) == 0


def test_threads_may_settle_while_sessions_come_and_go(
    amqp_url: str, inbox: Inbox, intake: BatchConsumer
) -> None:
    count = 300
    fill(amqp_url, bodies(count))
    problems: list[BaseException] = []

    def work() -> None:
        try:
            while chunk := inbox.take():
                for held in chunk:
                    intake.settle([held])
        except BaseException as error:  # noqa: BLE001 (shown below)
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            intake.connect()
            intake.step()
            intake.step()
        intake.connect()
        turn_until_empty(intake)
    finally:
        inbox.close()
        for thread in threads:
            thread.join(60)
    assert problems == []
    intake.close()
    assert ready(amqp_url) == 0


def test_a_full_hand_makes_the_threads_hurry_also_beyond_the_broker_s_bounds(
    amqp_url: str,
) -> None:
    # The chunk never fills and the inbox is never overdue. The broker delivers only what the
    # prefetch allows, so the inbox has to return that.
    fill(amqp_url, [])
    inbox = Inbox(QUEUES, chunk_bytes=1_000_000_000, wait=3600, together=1)
    intake = BatchConsumer(amqp_url, queues=QUEUES, inbox=inbox, prefetch=100_000)
    with ThreadPoolExecutor(1) as pool:
        try:
            connect_past_care(intake)
            fill(amqp_url, bodies(2100))
            got = 0
            while got < 2000:
                taken = pool.submit(inbox.take)
                step_until(intake, taken.done, what="a chunk")
                got += len(taken.result())
        finally:
            inbox.close()
            intake.close()


def test_above_its_limit_it_reads_no_further_and_goes_on_below(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kib = 1024
    monkeypatch.setattr("runtime.broker.consumer.HELD_LIMIT", 64 * kib)
    monkeypatch.setattr("runtime.broker.consumer.HELD_AGAIN", 32 * kib)
    fill(amqp_url, [b"x" * 10 * kib for _ in range(40)])
    inbox = Inbox(QUEUES, chunk_bytes=10 * kib, wait=3600, together=1)
    intake = BatchConsumer(amqp_url, queues=QUEUES, inbox=inbox, prefetch=10)
    got = 0
    try:
        intake.connect()
        while got < 40:
            step_until(intake, lambda: batches_in(inbox), what="the next")
            step_some(intake)
            # Above the limit are only deliveries that were on their way when it was passed.
            assert intake.held <= 10 + 7
            chunk = inbox.take()
            got += len(chunk)
            intake.settle(chunk)
        step_until(intake, lambda: not intake.held, what="all acks")
    finally:
        intake.close()
    assert ready(amqp_url) == 0


def close_connections(management: Management, amqp_url: str) -> None:
    """Close every connection of the virtual host, as an operator can."""
    vhost = urlsplit(amqp_url).path[1:]

    def connections() -> list[str]:
        found = management.call("GET", "vhosts", vhost, "connections")
        return [connection["name"] for connection in found]

    for name in wait_until(connections, what="the connection to be shown"):
        management.call("DELETE", "connections", name)


def test_stopping_on_a_lost_session_is_no_error(
    amqp_url: str, inbox: Inbox, intake: BatchConsumer, management: Management
) -> None:
    connect_past_care(intake)
    fill(amqp_url, bodies(3))
    step_until(intake, lambda: batches_in(inbox) == 3, what="all of them")
    chunk = inbox.take()
    close_connections(management, amqp_url)
    with pytest.raises(BrokerUnavailable):
        step_until(intake, lambda: False, what="the loss")
    intake.stop_taking()
    intake.settle(chunk)
    intake.finish()
    intake.close()
    wait_until(lambda: ready(amqp_url) == 3, what="all to be back")


def test_it_is_not_empty_while_a_queue_or_a_hand_is_full(
    amqp_url: str, intake: BatchConsumer
) -> None:
    intake.connect()
    turn_until_empty(intake)
    fill(amqp_url, bodies(1), queue=INCOMING[Lane.LOW])
    # The counts of the last session do not apply to this one.
    intake.connect()
    for _ in range(25):
        intake.step()
        assert not intake.empty()
    assert intake.held
