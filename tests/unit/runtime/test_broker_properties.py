"""Received properties: a message with unreadable headers is kept."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.broker.properties import MAX_NESTING, UNREADABLE, Properties, ReceivedProperties


def encoded(table: bytes) -> bytes:
    """Properties with content type, content encoding, a header table and a message id."""
    flags = (
        Properties.FLAG_CONTENT_TYPE
        | Properties.FLAG_CONTENT_ENCODING
        | Properties.FLAG_HEADERS
        | Properties.FLAG_MESSAGE_ID
    )
    headers = struct.pack(">I", len(table)) + table
    return struct.pack(">H", flags) + b"\x08text/xml" + b"\x00" + headers + b"\x02id"


def nested(depth: int) -> bytes:
    table = b"\x01at\x01"
    for _ in range(depth):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    return table


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(b"\x01aT" + struct.pack(">Q", 1_700_000_000_000), id="milliseconds"),
        pytest.param(b"\x01aT" + b"\xff" * 8, id="the end of time"),
        pytest.param(b"\x01ad" + struct.pack(">d", float("nan")), id="not a number"),
        pytest.param(b"\x01af" + struct.pack(">f", float("inf")), id="infinity"),
        pytest.param(b"\x01af" + struct.pack(">f", 2.0**65), id="a float beyond 64 bits"),
        pytest.param(b"\x01ad" + struct.pack(">d", 1e300), id="a double beyond 64 bits"),
        pytest.param(b"\x01a?", id="unknown type"),
        pytest.param(nested(MAX_NESTING), id="nested"),
        pytest.param(nested(5000), id="nested deep"),
    ],
)
def test_headers_that_cannot_be_read_become_a_note(table: bytes) -> None:
    found = ReceivedProperties().decode(encoded(table))
    assert found.headers
    assert found.headers.keys() == {UNREADABLE}
    assert str(len(table) + 4) in str(found.headers[UNREADABLE])
    rest = (found.content_type, found.content_encoding, found.message_id)
    assert rest == ("text/xml", "", "id")


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary(),
    )
)
def test_all_others_are_read_as_they_were_written(headers: dict[str, object]) -> None:
    sent = Properties(headers=headers, message_id="m", delivery_mode=2)  # type: ignore[arg-type]
    found = ReceivedProperties().decode(b"".join(sent.encode()))
    assert (found.headers, found.message_id, found.delivery_mode) == (headers, "m", 2)


@given(st.binary(max_size=60))
def test_no_table_of_any_bytes_costs_the_message(table: bytes) -> None:
    found = ReceivedProperties().decode(encoded(table))
    # Properties that were read can be written again: a dead letter needs that.
    found.encode()


def test_properties_without_headers_have_none() -> None:
    assert (
        ReceivedProperties().decode(b"".join(Properties(message_id="m").encode())).headers is None
    )
