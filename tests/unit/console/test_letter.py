"""Dead letters with headers of any kind."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.dead.search import Content, contents
from console.dead.view import readable
from console.output import as_data
from runtime.broker import Delivery, Properties
from runtime.broker.dead_letters import QUEUE, REASON, STAGE, Letter, read_dead_letter, replayed
from runtime.printable import as_json, printable
from schemas.report import Lane
from schemas.topology import INCOMING, REPORTS
from tests.support.processes import NORMAL, batch
from tests.support.world import CLIENT, message, report

values: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    [
        "statesys-stage",
        "statesys-reason",
        "statesys-detail",
        "statesys-queue",
        "statesys-first-refused-at",
        "client_id",
        "first_serial",
        "last_serial",
        "x-death",
    ]
)


def letter(headers: Any = None, *, body: bytes = b"", message_id: Any = None) -> Letter:
    return read_dead_letter(delivery(headers, body=body, message_id=message_id))


def delivery(headers: Any = None, *, body: bytes = b"", message_id: Any = None) -> Delivery:
    properties = Properties(headers=headers, message_id=message_id)
    return Delivery(1, "statesys.dead", body, properties, redelivered=False)


@given(st.dictionaries(names, values), st.none() | st.text(), st.binary())
def test_no_header_is_too_strange(headers: Any, message_id: Any, body: bytes) -> None:
    found = delivery(headers, body=body, message_id=message_id)
    read = read_dead_letter(found)
    assert read.name.isprintable()
    assert read.reason.isprintable()
    as_data(read.as_data())
    contents(read, found)
    readable(body)
    replayed(found.properties)


@given(values)
def test_every_value_becomes_one_harmless_line(value: Any) -> None:
    assert printable(value).isprintable()
    as_json(value)


def test_a_letter_of_ours_says_why() -> None:
    client = uuid4()
    found = letter(
        {
            "statesys-stage": "relay",
            "statesys-reason": "doctype",
            "statesys-detail": "the document has a DOCTYPE",
            "statesys-queue": REPORTS,
            "statesys-first-refused-at": "2026-01-01T00:00:00+00:00",
            "client_id": str(client),
            "first_serial": 3,
            "last_serial": 5,
        },
        message_id="m-1",
    )
    assert (found.name, found.stage, found.reason, found.queue) == (
        "m-1",
        "relay",
        "doctype",
        REPORTS,
    )
    assert found.serials == "3-5"
    assert found.client_id == client
    assert found.replayable


def test_a_letter_of_the_brokers_has_an_obituary() -> None:
    death = {"queue": INCOMING[Lane.NORMAL], "reason": "delivery_limit", "count": 1}
    found = letter({"x-death": [death]})
    assert (found.stage, found.reason, found.queue) == (
        "broker",
        "delivery_limit",
        "statesys.incoming",
    )
    assert found.replayable


def test_a_letter_without_message_id_is_named_by_its_body() -> None:
    assert letter(body=b"a").name == letter(body=b"a").name != letter(body=b"b").name


def test_a_letter_from_a_queue_that_is_none_of_ours_is_not_put_back() -> None:
    assert not letter({"statesys-stage": "relay", "statesys-queue": "amq.rabbitmq.log"}).replayable


def test_what_is_put_back_is_the_original_and_remembers_its_first_refusal() -> None:
    properties = Properties(
        message_id="m-1",
        reply_to="statesys.resync.00000000",
        correlation_id="c",
        timestamp=7,
        content_type="application/xml",
        headers={
            "client_id": "c",
            "statesys-stage": "relay",
            "statesys-reason": "doctype",
            "statesys-detail": "…",
            "statesys-queue": REPORTS,
            "statesys-first-refused-at": "2026",
            "x-death": [],
            "x-first-death-queue": "q",
            "x-delivery-count": 3,
        },
    )
    back = replayed(properties)
    assert back.headers == {"client_id": "c", "statesys-first-refused-at": "2026"}
    assert (back.message_id, back.reply_to, back.correlation_id, back.timestamp) == (
        "m-1",
        "statesys.resync.00000000",
        "c",
        7,
    )
    assert back.delivery_mode == 2


def test_the_contents_of_a_damaged_report_are_in_its_headers() -> None:
    client = uuid4()
    found = delivery({"client_id": str(client), "first_serial": 3, "last_serial": 5}, body=b"<")
    assert contents(read_dead_letter(found), found) == [Content(client, 3, 5)]


def test_the_contents_of_a_newer_batch_are_what_can_be_read_of_it() -> None:
    newer = batch(report(message(7))).replace(b' Format="', b' Format="9')
    found = delivery({STAGE: "loader", REASON: "newer_format", QUEUE: NORMAL}, body=newer)
    assert contents(read_dead_letter(found), found) == [Content(CLIENT, 7, 7)]


@pytest.mark.parametrize(
    ("body", "text", "exact"),
    [
        ("<a>é</a>".encode("utf-16"), "<a>é</a>", True),
        ("<a/>".encode("utf-16-be"), "<a/>", True),
        (b"<a/>", "<a/>", True),
        (b"a\xffb", "a\ufffdb", False),
        (b"a\x1b[2Jb\n", "a\\x1b[2Jb\n", True),
    ],
)
def test_a_body_becomes_text_that_no_terminal_obeys(body: bytes, text: str, exact: bool) -> None:
    assert readable(body) == (text, exact)
