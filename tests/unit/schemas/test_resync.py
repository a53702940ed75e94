"""The resync request: as the server writes it and a client reads it."""

from datetime import UTC
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.resync import (
    MAX_REQUEST_BYTES,
    MAX_REQUEST_RANGES,
    ResyncReason,
    ResyncRequest,
    parse_request,
    render_request,
)
from schemas.serials import FIRST_SERIAL, LAST_SERIAL, SerialRange
from tests.support.documents import GUID
from tests.support.report_strategies import MOMENTS, damaged

REQUEST = (
    f'<ResyncRequest ID="{GUID}" ClientID="GUID: {GUID.upper()}" Reason="missing"'
    ' HighestSerial="90" RequestedAt="2011-01-07T18:40:30+00:00" More="1">'
    '<MissingRange First="3" Last="5"/></ResyncRequest>'
)


@st.composite
def ranges(draw: st.DrawFn) -> SerialRange:
    first = draw(st.integers(FIRST_SERIAL, LAST_SERIAL))
    return SerialRange(first, draw(st.integers(first, LAST_SERIAL)))


def requests() -> st.SearchStrategy[ResyncRequest]:
    """Any request."""
    return st.builds(
        ResyncRequest,
        request_id=st.uuids(),
        client_id=st.uuids(),
        reason=st.sampled_from(ResyncReason),
        highest_serial=st.integers(0, LAST_SERIAL),
        requested_at=MOMENTS,
        ranges=st.lists(ranges(), max_size=5).map(tuple),
        more=st.booleans(),
    )


@given(requests())
def test_a_request_is_read_as_it_was_written(request: ResyncRequest) -> None:
    assert parse_request(render_request(request)) == request


def test_the_largest_request_fits() -> None:
    request = parse_request(REQUEST.encode())
    largest = request._replace(ranges=(SerialRange(LAST_SERIAL, LAST_SERIAL),) * MAX_REQUEST_RANGES)
    body = render_request(largest)
    assert len(body) < MAX_REQUEST_BYTES
    assert parse_request(body) == largest


def test_a_request_in_words() -> None:
    request = parse_request(REQUEST.encode())
    assert (request.request_id, request.client_id) == (UUID(GUID), UUID(GUID))
    assert request.reason is ResyncReason.MISSING
    assert (request.highest_serial, request.more) == (90, True)
    assert request.requested_at.tzinfo == UTC
    assert request.ranges == ((3, 5),)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ResyncRequest", "Request"),
        ("ID=", "Id="),
        (f'ID="{GUID}"', 'ID="1"'),
        (f'ID="{GUID}"', f'ID="urn:uuid:{GUID}"'),
        ("ClientID", "Client"),
        ('"missing"', '"boredom"'),
        ("Reason", "Because"),
        ('"90"', '"-1"'),
        ('"90"', '" 90"'),
        ('"90"', '"9_0"'),
        ('"90"', f'"{2**63 - 1}"'),
        ('"90"', f'"{"9" * 5000}"'),
        ("+00:00", ""),
        ("2011-01-07", "2011-02-30"),
        ('"3"', '"0"'),
        ('"3"', '"6"'),
        ('"5"', '""'),
        ("First", "From"),
        ("MissingRange", "Range"),
    ],
)
def test_a_bad_request_is_refused(old: str, new: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_request(REQUEST.replace(old, new).encode())
    assert refusal.value.reason is Reason.BAD_STRUCTURE


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("ResyncRequest", "Request", "the root element is not ResyncRequest"),
        (f'ID="{GUID}"', 'ID="1"', "ID is no GUID"),
        ('"90"', '"-1"', "HighestSerial '-1' is not in 0..2^63-2"),
        ('"3"', '"0"', "'0' is not in 1..2^63-2"),
        ("+00:00", "", "RequestedAt has no zone"),
        ("MissingRange", "Range", "unknown element Range"),
    ],
)
def test_a_refusal_of_a_request_names_what_is_wrong(old: str, new: str, what: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_request(REQUEST.replace(old, new).encode())
    assert what in refusal.value.detail


def test_a_request_over_64_kib_is_refused_unread() -> None:
    with pytest.raises(Refused) as refusal:
        parse_request(b" " * (MAX_REQUEST_BYTES + 1))
    assert refusal.value.reason is Reason.TOO_LARGE


@given(st.binary() | damaged(st.just(REQUEST.encode())))
def test_no_bytes_make_a_request_raise_anything_else(body: bytes) -> None:
    try:
        request = parse_request(body)
    except Refused:
        return
    assert 0 <= request.highest_serial <= LAST_SERIAL
