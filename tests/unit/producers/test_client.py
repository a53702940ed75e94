"""Numbering and rendering of a client, without store or broker."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.client import (
    MAX_BYTES,
    MAX_HIGHEST_SERIAL,
    NORMAL_PRIORITY,
    Client,
    Rendered,
    answer,
    forward,
    heartbeat,
    is_state,
)
from schemas.digest import digest
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.report import HEARTBEAT_TOPIC, RESYNC_TOPIC, Claim, Lane, StateMessage
from schemas.report_reader import parse_report
from schemas.resync import ResyncReason, ResyncRequest
from tests.support.fleet_strategies import NOW, a_client, a_state, clients, messages


def a_request(client: Client, highest_serial: int = 0) -> ResyncRequest:
    return ResyncRequest(uuid4(), client.client_id, ResyncReason.MISSING, highest_serial, NOW)


def serials(reports: tuple[Rendered, ...]) -> list[int | None]:
    return [m.serial for report in reports for m in report.messages]


@given(client=clients, unsent=st.lists(messages, max_size=12), limit=st.integers(1, 5))
def test_what_a_client_renders_is_what_the_server_reads(
    client: Client, unsent: list[StateMessage], limit: int
) -> None:
    reports = forward(client, unsent, NOW, max_messages=limit)

    numbers = range(client.last_serial + 1, client.last_serial + 1 + len(unsent))
    assert serials(reports) == list(numbers)
    for report in reports:
        read = parse_report(report.body)
        assert read.client_id == client.client_id
        assert read.client_name == client.name
        assert read.messages == report.messages
        assert len(read.messages) <= limit
        assert tuple(map(digest, read.messages)) == report.digests
    sent = [m._replace(serial=None) for report in reports for m in report.messages]
    assert sorted(sent, key=repr) == sorted(unsent, key=repr)


def test_a_client_with_nothing_to_say_sends_no_report() -> None:
    assert forward(a_client(), [], NOW) == ()


def test_urgent_news_do_not_wait_in_a_normal_report() -> None:
    news = [a_state("a"), a_state("b", 11, topic_type=402), a_state("c", 1, topic_type=302)]

    reports = forward(a_client(), news, NOW)

    read = [parse_report(report.body) for report in reports]
    assert [one.lane for one in read] == [Lane.NORMAL, Lane.HIGH, Lane.LOW]
    assert [one.priority for one in read] == [NORMAL_PRIORITY, 1, 10]
    assert serials(reports) == [1, 2, 3]


def test_a_report_is_cut_before_it_is_too_large() -> None:
    large = [a_state(str(n))._replace(details="x" * 100_000) for n in range(20)]

    reports = forward(a_client(), large, NOW)

    assert all(len(report.body) <= MAX_BYTES for report in reports)
    assert serials(reports) == list(range(1, 21))


def test_a_report_that_is_too_large_is_halved_until_it_fits() -> None:
    news = [a_state(str(n)) for n in range(5)]

    def sizes(count: int, *, max_bytes: int) -> list[int]:
        reports = forward(a_client(), news[:count], NOW, max_bytes=max_bytes)
        return [len(report.messages) for report in reports]

    of_two, of_three = (len(forward(a_client(), news[:n], NOW)[0].body) for n in (2, 3))
    assert sizes(2, max_bytes=of_two) == [2]
    assert sizes(2, max_bytes=of_two - 1) == [1, 1]
    assert sizes(5, max_bytes=of_three) == [3, 2]


def test_a_single_large_message_travels_alone() -> None:
    huge = a_state("huge")._replace(details="x" * MAX_BYTES)

    reports = forward(a_client(), [a_state("a"), huge, a_state("b")], NOW)

    assert [len(report.messages) for report in reports] == [1, 1, 1] or [
        len(report.messages) for report in reports
    ] == [2, 1]
    assert serials(reports) == [1, 2, 3]


def test_a_heartbeat_is_topic_701_in_state_1() -> None:
    (report,) = forward(a_client(last_serial=41), [heartbeat(NOW)], NOW)

    (message,) = parse_report(report.body).messages
    assert message.topic == (HEARTBEAT_TOPIC, "heartbeat", "")
    assert message == heartbeat(NOW)._replace(serial=42)
    assert message == StateMessage(42, None, HEARTBEAT_TOPIC, "heartbeat", None, "", "", 1, 0, NOW)


def test_a_client_keeps_no_heartbeat_and_no_start_of_an_answer_as_a_state() -> None:
    (begin,) = answer(a_client(), a_request(a_client()), [], NOW)[0].messages
    assert [is_state(one) for one in (heartbeat(NOW), begin, a_state("a"))] == [False, False, True]


@given(
    client=clients,
    states=st.lists(messages, max_size=12),
    highest=st.integers(0, MAX_HIGHEST_SERIAL),
    limit=st.integers(1, 5),
)
def test_an_answer_is_one_block_of_fresh_serials_that_every_report_claims(
    client: Client, states: list[StateMessage], highest: int, limit: int
) -> None:
    request = a_request(client, highest)

    reports = answer(client, request, states, NOW, max_messages=limit)

    first = max(client.last_serial, highest) + 1
    block = list(range(first, first + 1 + len(states)))
    assert serials(reports) == block
    for report in reports:
        read = parse_report(report.body)
        assert read.claim == Claim(request.request_id, first, block[-1])
        assert (read.lane, read.priority) == (Lane.LOW, NORMAL_PRIORITY)
        assert report.request_id == request.request_id
    said = [m for report in reports for m in parse_report(report.body).messages]
    assert said[0] == StateMessage(
        first, None, RESYNC_TOPIC, str(request.request_id), None, "", "", 1, 0, NOW
    )
    assert [m._replace(serial=None) for m in said[1:]] == states


def test_a_client_without_any_state_has_an_answer_too() -> None:
    (report,) = answer(a_client(), a_request(a_client()), [], NOW)

    assert (report.first_serial, report.last_serial) == (1, 1)


def test_a_highest_serial_that_leaves_no_serials_is_refused() -> None:
    assert answer(a_client(), a_request(a_client(), MAX_HIGHEST_SERIAL), [], NOW)
    with pytest.raises(Refused, match=f"HighestSerial {MAX_HIGHEST_SERIAL + 1}") as refused:
        answer(a_client(), a_request(a_client(), MAX_HIGHEST_SERIAL + 1), [], NOW)

    assert refused.value.reason is Reason.BAD_SERIAL


@dataclass
class Server:
    """A minimal server: the digest of every serial that arrived."""

    arrived: dict[int, bytes]

    def take(self, report: Rendered) -> None:
        for m in parse_report(report.body).messages:
            assert m.serial is not None
            assert self.arrived.setdefault(m.serial, digest(m)) == digest(m)


@given(lost=st.sets(st.integers(0, 9)), data=st.data())
def test_after_an_answer_the_server_has_every_state_whatever_was_lost(
    lost: set[int], data: st.DataObject
) -> None:
    server, client, store = Server({}), a_client(), dict[tuple[int, str, str], StateMessage]()
    for cycle in range(10):
        news = data.draw(st.lists(messages, min_size=1, max_size=3, unique_by=lambda m: m.topic))
        store.update((m.topic, m) for m in news)
        for report in forward(client, news, NOW):
            client = client._replace(last_serial=report.last_serial)
            if cycle not in lost:
                server.take(report)

    reports = answer(client, a_request(client, max(server.arrived, default=0)), store.values(), NOW)
    for report in reports:
        server.take(report)

    for report in reports:
        for message, its_digest in zip(report.messages, report.digests, strict=True):
            assert message.serial is not None
            assert server.arrived[message.serial] == its_digest
    answered = {m.topic: m._replace(serial=None) for r in reports for m in r.messages}
    del answered[RESYNC_TOPIC, str(reports[0].request_id), ""]
    assert answered == store


def test_client_ids_come_back_as_they_were() -> None:
    client = a_client()._replace(client_id=UUID("f1b03089-9ea1-4a64-83dc-5f8e77bddeb4"))

    (report,) = forward(client, [a_state()], NOW)

    assert parse_report(report.body).client_id == client.client_id
