"""One delivery into one SMX: how the relay turns a report and its properties into it."""

from datetime import UTC, datetime
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.validate import Taken, _ids, accept
from runtime.broker import Delivery, Properties
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.report import Lane
from schemas.report_reader import parse_report
from schemas.report_writer import report_xml
from schemas.smx import Envelope, parse_batch, render_batch
from tests.support.documents import (
    CLIENT_ID,
    GUID,
    MALFORMED,
    SAMPLE,
    STATE,
    TOPIC,
    message,
    report,
)

NOW = datetime(2011, 1, 7, 18, 40, tzinfo=UTC)
REPLY_TO = "statesys.resync.0a1b2c3d"
#: Of a UUID of version 4: its version and its variant.
_FIXED_BITS = {76, 77, 78, 79, 62, 63}


def taken(body: bytes = SAMPLE, **properties: Any) -> Taken:
    delivery = Delivery(1, "q", body, Properties(**properties), False)
    return accept(delivery, received_at=NOW, max_bytes=10_000)


def envelope(**properties: Any) -> Envelope:
    (smx,) = parse_batch(render_batch(UUID(int=1), "r", [taken(**properties).smx])).smx
    assert smx.report == parse_report(SAMPLE)
    return smx.envelope


def test_properties_become_the_envelope() -> None:
    found = envelope(message_id="m", timestamp=1_294_425_600, reply_to=REPLY_TO)
    forwarded_at = datetime(2011, 1, 7, 18, 40, tzinfo=UTC)
    assert found[1:] == (NOW, forwarded_at, "m", REPLY_TO)
    assert found.smx_id.version == 4


@pytest.mark.parametrize("end", ["\0", "\r\n\0", "\0\n"])
def test_a_nul_behind_the_root_and_the_space_around_it_stay_out_of_the_smx(end: str) -> None:
    assert taken((report() + end).encode("utf-16")).smx.endswith(b"</Report></SMX>")


def test_what_is_unknown_in_a_message_travels_on() -> None:
    inside = f"{TOPIC}{STATE}<x:a xmlns:x='u' b='1'><![CDATA[<c>]]></x:a>"
    assert inside.encode() in taken(report(message(inside)).encode()).smx


def test_every_smx_has_an_id_of_its_own() -> None:
    assert envelope().smx_id != envelope().smx_id


def test_without_properties_the_report_is_enough() -> None:
    assert envelope()[1:] == (NOW, None, None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestamp", 0),
        ("timestamp", -1),
        ("timestamp", 7_258_118_400),
        ("timestamp", 2**64 - 1),
        ("message_id", ""),
        ("message_id", "x" * 256),
        ("message_id", "a\nb"),
        ("message_id", "a\x00"),
        ("message_id", "\ufffe"),
        ("message_id", b"\xff"),
        ("reply_to", ""),
        ("reply_to", "statesys.dead"),
        ("reply_to", REPLY_TO + "\n"),
        ("reply_to", REPLY_TO.encode()),
    ],
)
def test_what_is_odd_about_properties_is_left_out(name: str, value: object) -> None:
    assert envelope(**{name: value})[2:] == (None, None, None)


@given(st.text(max_size=255), st.integers(0, 2**64 - 1), st.text(max_size=40))
def test_no_property_makes_a_good_report_unreadable(
    message_id: str, timestamp: int, reply_to: str
) -> None:
    found = envelope(message_id=message_id, timestamp=timestamp, reply_to=reply_to)
    assert found.message_id in (None, message_id)


def test_lane_and_number_of_messages_come_from_the_xml() -> None:
    body = message() + message(serial="1432")
    found = taken(report(body, header="<Priority>1</Priority>").encode(), priority=9)
    assert (found.lane, found.messages) == (Lane.HIGH, 2)


@pytest.mark.parametrize(("priority", "lane"), [(1, Lane.HIGH), (5, Lane.NORMAL), (10, Lane.LOW)])
def test_both_readers_find_the_lane(priority: int, lane: Lane) -> None:
    body = report_xml(parse_report(SAMPLE)._replace(priority=priority)).encode()
    for document, canonical in ((body, True), (b"<!-- -->" + body, False)):
        found = taken(document)
        assert (found.lane, found.canonical) == (lane, canonical)


def test_a_report_of_just_the_limit_is_accepted() -> None:
    delivery = Delivery(1, "q", SAMPLE, Properties(), False)
    assert accept(delivery, received_at=NOW, max_bytes=len(SAMPLE)).canonical
    with pytest.raises(Refused) as refusal:
        accept(delivery, received_at=NOW, max_bytes=len(SAMPLE) - 1)
    assert refusal.value.reason is Reason.TOO_LARGE


def test_a_thousand_ids_are_different_random_ones() -> None:
    ids = {next(_ids) for _ in range(1000)}
    assert len(ids) == 1000
    assert {(one.version, one.variant) for one in ids} == {(4, RFC_4122)}
    # Each of the 122 random bits is set in about half of them.
    for bit in range(128):
        if bit not in _FIXED_BITS:
            assert 350 < sum(one.int >> bit & 1 for one in ids) < 650


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (MALFORMED, Reason.NOT_WELL_FORMED),
        (b"", Reason.NOT_WELL_FORMED),
        (report("").encode(), Reason.NO_STATE_MESSAGE),
        (b" " * 10_001, Reason.TOO_LARGE),
    ],
)
def test_a_bad_report_is_refused_with_its_reason(body: bytes, reason: Reason) -> None:
    with pytest.raises(Refused) as refusal:
        taken(body)
    assert refusal.value.reason is reason


def test_it_says_whether_a_loader_will_read_it_by_the_fast_path() -> None:
    assert taken().canonical
    assert not taken(b"<!-- -->" + report().encode()).canonical


@pytest.mark.parametrize("behind", ["", "\n", "<!-- -->"])
def test_the_root_element_travels_as_it_was_written(behind: str) -> None:
    text = report(machine=f"{CLIENT_ID}<NetBIOSName>Zoë 🔒 </NetBIOSName>")
    document = f'<?xml version="1.0" encoding="UTF-16"?>\r\n{text}{behind}\n'
    for encoding in ("utf-16", "utf-8"):
        smx = taken(document.encode(encoding)).smx.decode()
        assert smx.partition(">")[2] == f"{text}{behind.strip()}</SMX>"


# -- quarantine ------------------------------------------------------------------------------

OTHER = "00000000-0000-4000-8000-000000000001"
#: Canonical in either hand, or read by the full reader.
SHAPES = (
    CLIENT_ID,
    f"<ClientID>{GUID}</ClientID>",
    f'<ClientID a="b">GUID: {GUID.upper()}</ClientID>',
    f"<!-- odd -->{CLIENT_ID}",
)


def judged(body: bytes, *quarantined: str) -> Taken:
    delivery = Delivery(1, "q", body, Properties(), False)
    return accept(delivery, received_at=NOW, max_bytes=10_000, quarantined=frozenset(quarantined))


@pytest.mark.parametrize("machine", SHAPES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_quarantined_client_is_known_by_its_id_in_any_shape(machine: str, encoding: str) -> None:
    body = report(machine=machine).encode(encoding)
    with pytest.raises(Refused) as refusal:
        judged(body, OTHER, GUID)
    assert refusal.value.reason is Reason.QUARANTINED
    assert refusal.value.detail == f"client {GUID} is quarantined"
    for others in ((), (OTHER,)):
        assert judged(body, *others).messages == 1


def test_what_is_wrong_with_a_report_comes_before_the_quarantine() -> None:
    with pytest.raises(Refused) as refusal:
        judged(report("").encode(), GUID)
    assert refusal.value.reason is Reason.NO_STATE_MESSAGE
