"""Publishing until the broker confirms: what waits, what is sent, what the caller learns."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.broker import (
    Administration,
    ConfirmingPublisher,
    Delivery,
    Message,
    PublishOutcome,
    Retry,
    Session,
    persistent,
)
from runtime.broker import publisher as publisher_module
from runtime.broker.publisher import PublishWindow
from schemas.errors import BrokerUnavailable
from schemas.topology import DEAD, QUEUES, REPORTS
from tests.support.brokers import cut, vhost
from tests.support.management import Management
from tests.support.processes import PATIENCE, take_all
from tests.support.waiting import wait_until

NOWHERE = "no.such.queue"
ONCE_A_SECOND = Retry(1, 1)


def message(token: int, *, queue: str = DEAD) -> Message:
    return Message(queue, str(token).encode(), persistent(), token)


def tokens(messages: list[Message]) -> list[int]:
    return [one.token for one in messages]


def answer_next(window: PublishWindow, problem: str | None, now: float) -> None:
    """Take and settle the one message that is due."""
    (one,) = window.take(now)
    window.note_outcome(one, problem, now)


class TestTheWindow:
    """`PublishWindow`, without a broker."""

    def test_what_is_added_goes_once(self) -> None:
        window = PublishWindow()
        for token in range(3):
            window.add(message(token))
        assert tokens(window.take(0)) == [0, 1, 2]
        assert window.take(0) == []
        assert len(window) == 3, "in the air"

    def test_what_is_confirmed_is_forgotten(self) -> None:
        window = PublishWindow(ONCE_A_SECOND)
        window.add(message(1))
        answer_next(window, None, 0)
        assert len(window) == 0
        assert window.take(100) == []

    def test_what_is_refused_without_a_retry_is_given_up(self) -> None:
        window = PublishWindow()
        window.add(message(1))
        answer_next(window, "nack", 0)
        assert len(window) == 0
        assert window.take(100) == []

    def test_what_is_refused_waits_out_the_pause_and_goes_again(self) -> None:
        window = PublishWindow(ONCE_A_SECOND)
        window.add(message(1))
        answer_next(window, "nack", 10)
        refused = [window.refused]
        assert (window.take(10.9), window.again(10.9), window.wait(10.9)) == ([], False, 11 - 10.9)
        assert window.again(11)
        assert tokens(window.take(11)) == [1]
        assert [*refused, window.refused] == [True, False]
        assert window.wait(11) is None
        assert len(window) == 1

    def test_only_the_address_that_refuses_pauses(self) -> None:
        window = PublishWindow(ONCE_A_SECOND)
        window.add(message(1))
        answer_next(window, "nack", 0)
        window.add(message(2))
        window.add(message(3, queue=REPORTS))
        assert not window.again(0)
        assert tokens(window.take(0)) == [3]
        assert tokens(window.take(1)) == [1, 2]

    def test_pauses_double_up_to_the_longest_until_something_is_confirmed(self) -> None:
        window = PublishWindow(Retry(1, 3))
        window.add(message(1))
        now, pauses = 0.0, []
        for _ in range(4):
            answer_next(window, "nack", now)
            pauses.append(window.wait(now) or 0)
            now += pauses[-1]
        assert pauses == [1, 2, 3, 3]
        answer_next(window, None, now)
        window.add(message(2))
        answer_next(window, "nack", now)
        assert window.wait(now) == 1

    def test_those_that_come_back_together_share_a_pause(self) -> None:
        window = PublishWindow(Retry(1, 100))
        for token in range(50):
            window.add(message(token))
        for one in window.take(0):
            window.note_outcome(one, "returned", 0.5)
        assert window.wait(0.5) == 1

    def test_it_is_full_by_number_and_by_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(publisher_module, "WINDOW", 3)
        monkeypatch.setattr(publisher_module, "WINDOW_BYTES", 100)
        window = PublishWindow(ONCE_A_SECOND)
        seen = []
        for token in range(3):
            window.add(message(token))
            seen.append(window.full)
        first, *_ = window.take(0)
        window.note_outcome(first, "nack", 0)
        seen.append(window.full)
        answer_next(window, None, 1)
        seen.append(window.full)
        window.add(Message(DEAD, b"x" * 100, persistent(), 4))
        seen.append(window.full)
        assert seen == [False, False, True, True, False, True]

    @given(st.data())
    def test_each_message_is_confirmed_once_or_held(self, data: st.DataObject) -> None:
        window = PublishWindow(Retry(1, 4))
        air: list[Message] = []
        confirmed: Counter[int] = Counter()
        added = 0
        now = 0.0
        for step in data.draw(st.lists(st.sampled_from(["add", "take", "settle", "wait"]))):
            if step == "add":
                window.add(message(added, queue=data.draw(st.sampled_from([DEAD, REPORTS]))))
                added += 1
            elif step == "take":
                air += window.take(now)
            elif step == "wait":
                now += data.draw(st.sampled_from([0.5, 1, 4]))
            elif air:
                one = air.pop(data.draw(st.integers(0, len(air) - 1)))
                problem = data.draw(st.sampled_from([None, "nack", "returned"]))
                window.note_outcome(one, problem, now)
                confirmed[one.token] += problem is None
            assert len(set(tokens(air))) == len(air)
            assert len(window) == added - confirmed.total()
        for one in air:
            window.note_outcome(one, None, now)
            confirmed[one.token] += 1
        for one in window.take(now + 4):
            window.note_outcome(one, None, now)
            confirmed[one.token] += 1
        assert confirmed == Counter(range(added))
        assert len(window) == 0


@pytest.fixture
def session(amqp_url: str, admin: Administration) -> Iterator[Session]:
    """A session on a broker with all queues."""
    assert admin.depth(DEAD)
    with closing(Session(amqp_url, name="test publisher")) as found:
        yield found


def bodies(deliveries: list[Delivery]) -> Counter[bytes]:
    return Counter(delivery.body for delivery in deliveries)


def settled(publisher: ConfirmingPublisher) -> list[PublishOutcome]:
    """All outcomes, until no message is left."""
    found = list(publisher.await_outcomes(PATIENCE))
    assert not publisher
    return found


def limit(management: Management, amqp_url: str, admin: Administration, length: int) -> None:
    """Limit the length of `statesys.dead`, wait until it refuses more, and empty it."""
    full = {"max-length": length, "overflow": "reject-publish"}
    policy = {"pattern": f"^{DEAD}$", "definition": full, "apply-to": "queues"}
    management.call("PUT", "policies", vhost(amqp_url), "full", body=policy)
    with closing(Session(amqp_url, name="test limit")) as session:
        publisher = ConfirmingPublisher(session)

        def refuses() -> bool:
            publisher.publish(message(0))
            return any(one.problem for one in settled(publisher))

        wait_until(refuses, what="the limit to take effect")
    admin.purge(DEAD)


def test_all_that_is_handed_over_is_confirmed(amqp_url: str, session: Session) -> None:
    publisher = ConfirmingPublisher(session)
    for token in range(500):
        publisher.publish(message(token))
    assert Counter(settled(publisher)) == Counter(
        PublishOutcome(token, None) for token in range(500)
    )
    assert bodies(take_all(amqp_url, DEAD)) == Counter(str(n).encode() for n in range(500))


def test_of_a_full_queue_exactly_what_it_holds_is_confirmed(
    amqp_url: str, session: Session, admin: Administration, management: Management
) -> None:
    limit(management, amqp_url, admin, 50)
    publisher = ConfirmingPublisher(session)
    for token in range(1000):
        publisher.publish(message(token))
    told = settled(publisher)
    assert sorted(one.token for one in told) == list(range(1000))
    taken = Counter(str(one.token).encode() for one in told if one.problem is None)
    assert bodies(take_all(amqp_url, DEAD)) == taken
    problems = {one.problem for one in told} - {None}
    assert problems == {"nack: the broker did not take it"}


def test_what_a_full_queue_refuses_is_published_until_there_is_room(
    amqp_url: str, session: Session, admin: Administration, management: Management
) -> None:
    limit(management, amqp_url, admin, 50)
    publisher = ConfirmingPublisher(session, retry=Retry(0.05, 0.2))
    tokens = count()
    told: list[PublishOutcome] = []
    arrived: Counter[bytes] = Counter()

    def refused() -> bool:
        # One by one: the queue may take a burst before it tells the channel that it is full.
        publisher.publish(message(next(tokens)))
        told.extend(one for one in publisher.poll(0.05) if isinstance(one, PublishOutcome))
        return any(one.problem for one in told)

    wait_until(refused, timeout=PATIENCE, what="a refusal")
    for _ in range(100):
        publisher.publish(message(next(tokens)))
    published = next(tokens)

    def all_told() -> bool:
        told.extend(one for one in publisher.poll(0.05) if isinstance(one, PublishOutcome))
        arrived.update(bodies(take_all(amqp_url, DEAD)))
        return not publisher

    wait_until(all_told, timeout=PATIENCE, what="all to be confirmed")
    arrived.update(bodies(take_all(amqp_url, DEAD)))
    assert Counter(one.token for one in told if one.problem is None) == Counter(range(published))
    assert arrived == Counter(str(n).encode() for n in range(published))


@pytest.mark.parametrize("parameters", ["", "?channel_max=1"])
def test_deliveries_and_outcomes_outlive_the_change_of_the_channel(
    amqp_url: str, admin: Administration, parameters: str
) -> None:
    with closing(Session(amqp_url + parameters, name="test publisher")) as session:
        admin.publish(routing_key=REPORTS, body=b"held", properties=persistent())
        session.consume(REPORTS, prefetch=10)
        (held,) = wait_until(lambda: session.poll(0.1), what="the delivery")
        assert isinstance(held, Delivery)
        for token in range(3):
            session.publish_afresh()
            session.publish(message(token))
            (outcome,) = wait_until(lambda: session.poll(0.1), what="the confirm")
            assert outcome == PublishOutcome(token, None)
        session.ack(held.tag)
    assert not take_all(amqp_url, REPORTS)


def test_a_missing_queue_returns_what_is_for_it_and_nothing_else(session: Session) -> None:
    publisher = ConfirmingPublisher(session)
    for token in range(100):
        publisher.publish(message(token, queue=NOWHERE if token % 3 == 0 else DEAD))
    told = {one.token: one for one in settled(publisher)}
    assert {token for token, one in told.items() if one.problem is None} == {
        token for token in range(100) if token % 3
    }
    assert all(one.returned == (token % 3 == 0) for token, one in told.items())


def test_a_missing_queue_is_made_before_what_was_for_it_goes_again(
    amqp_url: str, session: Session, admin: Administration, management: Management
) -> None:
    management.call("DELETE", "queues", vhost(amqp_url), DEAD)
    publisher = ConfirmingPublisher(
        session, retry=Retry(0.05, 0.05), before_again=lambda: admin.declare(QUEUES)
    )
    for token in range(10):
        publisher.publish(message(token))
        publisher.publish(message(token, queue=REPORTS))
    told = settled(publisher)
    assert sum(one.returned for one in told) == 10
    assert Counter(one.token for one in told if one.problem is None) == dict.fromkeys(range(10), 2)
    assert bodies(take_all(amqp_url, DEAD)) == Counter(str(n).encode() for n in range(10))


def test_of_two_messages_with_one_address_and_id_the_returned_one_is_told(
    amqp_url: str, session: Session, management: Management
) -> None:
    # A headers exchange routes only marked messages to the queue.
    place = vhost(amqp_url)
    management.call("PUT", "exchanges", place, "marked", body={"type": "headers"})
    binding = {"arguments": {"x-match": "all", "marked": "yes"}}
    management.call("POST", "bindings", place, "e", "marked", "q", DEAD, body=binding)
    publisher = ConfirmingPublisher(session)
    for token, mark in enumerate(["yes", "no", "yes", "no"]):
        properties = persistent(message_id="the same", headers={"marked": mark})
        publisher.publish(Message("", str(token).encode(), properties, token, "marked"))
    told = {one.token: one.returned for one in settled(publisher)}
    assert told == {0: False, 1: True, 2: False, 3: True}
    assert bodies(take_all(amqp_url, DEAD)) == Counter([b"0", b"2"])


def test_what_was_confirmed_before_a_loss_is_told_first(
    amqp_url: str, session: Session, admin: Administration, management: Management
) -> None:
    publisher = ConfirmingPublisher(session)
    publisher.publish(message(1))
    told = publisher.poll(0)
    wait_until(lambda: (admin.depth(DEAD) or (0,))[0] == 1, what="the message to be there")
    cut(management, amqp_url, "test publisher")

    def lost() -> bool:
        try:
            told.extend(publisher.poll(0.1))
        except BrokerUnavailable:
            return True
        return False

    wait_until(lost, what="the connection to be lost")
    assert told == [PublishOutcome(1, None)]
    assert not publisher


def test_what_was_in_the_air_when_the_connection_closed_is_not_told(
    amqp_url: str, session: Session, management: Management
) -> None:
    publisher = ConfirmingPublisher(session, retry=ONCE_A_SECOND)
    confirmed: list[int] = []
    sent = 0

    def publish_more() -> bool:
        nonlocal sent
        while not publisher.full:
            publisher.publish(message(sent))
            sent += 1
        told = [event for event in publisher.poll(0.1) if isinstance(event, PublishOutcome)]
        assert not any(one.problem for one in told)
        confirmed.extend(one.token for one in told)
        return False

    publish_more()
    cut(management, amqp_url, "test publisher")
    with pytest.raises(BrokerUnavailable):
        wait_until(publish_more, what="the connection to be lost")
    assert len(publisher) == sent - len(confirmed)
    safe = bodies(take_all(amqp_url, DEAD))
    assert all(safe[str(token).encode()] == 1 for token in confirmed)
    # The tags of the next session begin at 1 again, and mean other messages.
    with closing(Session(amqp_url, name="test next")) as following:
        again = ConfirmingPublisher(following)
        unsure = sorted(set(range(sent)) - set(confirmed))
        for token in unsure:
            again.publish(message(token))
        assert sorted(one.token for one in settled(again)) == unsure
