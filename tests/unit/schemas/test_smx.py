"""SMX and batches: what the relay writes is what the loader reads."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import xml
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.report import MAX_REPORT_BYTES, Report
from schemas.report_reader import parse_report, read_report
from schemas.report_writer import render_report, report_xml
from schemas.smx import (
    FORMAT,
    MAX_SMX_BYTES,
    Batch,
    Envelope,
    Smx,
    parse_batch,
    render_batch,
    render_smx,
)
from tests.support.documents import CLIENT_ID, GUID, SAMPLE, STATE, TOPIC, message, report
from tests.support.report_strategies import CHARACTERS, MOMENTS, damaged, reports

ID = UUID(GUID)
ENVELOPE = Envelope(ID, datetime(2011, 1, 7, 18, 40, tzinfo=UTC))
SMX = f"<SMX ID='{GUID}' ReceivedAt='2011-01-07T18:40:00Z'>{report()}</SMX>"


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    """What a relay may know of a report; the sender chooses the message id, so it is any text."""
    return Envelope(
        smx_id=draw(st.uuids()),
        received_at=draw(MOMENTS),
        forwarded_at=draw(st.none() | MOMENTS),
        message_id=draw(st.none() | st.text(CHARACTERS, max_size=255)),
        reply_to=draw(st.none() | st.from_regex(r"statesys\.resync\.[0-9a-f]{8}", fullmatch=True)),
    )


def as_sent(body: bytes) -> bytes:
    """The report of a body that a relay accepts, as it goes into an SMX."""
    document = xml.utf8(body, max_bytes=MAX_REPORT_BYTES)
    read_report(xml.parse_utf8(document))
    return xml.root_element(document)


def batch(inside: str = SMX, attributes: str = f"ID='{GUID}' Relay='r'") -> bytes:
    return f"<Batch {attributes}>{inside}</Batch>".encode()


def in_format(written: object) -> str:
    return f"ID='{GUID}' Relay='r' Format='{written}'"


@given(
    st.uuids(),
    st.text(CHARACTERS),
    st.lists(st.builds(Smx, envelopes(), reports()), min_size=1, max_size=3),
)
def test_a_batch_is_read_as_it_was_written(batch_id: UUID, relay: str, smx: list[Smx]) -> None:
    body = render_batch(batch_id, relay, [render_smx(*one) for one in smx])
    assert parse_batch(body) == Batch(batch_id, relay, tuple(smx))


@given(damaged(reports().map(render_report) | reports().map(report_xml).map(str.encode)))
@example(report(header="<a>" * 98 + "</a>" * 98).encode())
@example(report(header="<a xml:id='b'/>").encode())
def test_whatever_the_relay_accepts_the_loader_can_read(body: bytes) -> None:
    try:
        document = xml.utf8(body, max_bytes=MAX_REPORT_BYTES)
        accepted = read_report(xml.parse_utf8(document))
    except Refused:
        return
    # Twice, since reports that are fine alone may clash inside one document.
    smx = render_smx(ENVELOPE, xml.root_element(document))
    read = parse_batch(render_batch(ID, "r", [smx, smx]))
    assert [one.report for one in read.smx] == [accepted, accepted]


def test_what_the_reader_does_not_know_travels_on() -> None:
    text = report(machine=f"{CLIENT_ID}<Unknown a='1'>b</Unknown>")
    smx = render_smx(ENVELOPE, as_sent(text.encode("utf-16")))
    assert b"<Unknown a='1'>b</Unknown>" in smx


def test_cdata_stays_cdata() -> None:
    details = "<StateDetails><![CDATA[<<<<]]></StateDetails>"
    text = report(message(TOPIC + STATE + details))
    for document in (text, f"{text}<!-- </Report> -->", f"{text}\n<?a <?b </Report> ?> "):
        assert details.encode() in render_smx(ENVELOPE, as_sent(document.encode()))


@pytest.mark.parametrize("before", ["", "\ufeff", "<?xml version='1.0'?>\n", "<!-- <Report> --> "])
@pytest.mark.parametrize(
    "after", ["", " \r\n\t", "<!-- </Report> -->", "<?a </Report> ?>", "<?a --> ?>"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_stands_around_the_root_element_changes_nothing(
    before: str, after: str, encoding: str
) -> None:
    sent = report().encode()
    travelled = as_sent((before + report() + after).encode(encoding))
    assert travelled.startswith(sent)
    assert after.strip() or travelled == sent
    smx = render_smx(ENVELOPE, travelled)
    read = parse_batch(render_batch(ID, "r", [smx, smx]))
    assert [one.report for one in read.smx] == [parse_report(sent)] * 2


def test_a_comment_behind_a_report_does_not_make_it_grow() -> None:
    details = f"<StateDetails>{'>' * (MAX_SMX_BYTES // 4)}</StateDetails>"
    document = f"{report(message(TOPIC + STATE + details))}<!-- -->".encode()
    assert len(render_smx(ENVELOPE, as_sent(document))) < len(document) + 1000


def test_a_batch_is_readable_text_without_declaration() -> None:
    assert render_batch(ID, "h/1", [render_smx(ENVELOPE, parse_report(SAMPLE))]).startswith(
        f'<Batch ID="{GUID}" Relay="h/1" Format="{FORMAT}"><SMX ID="{GUID}"'.encode()
    )


def test_older_formats_are_read_and_the_first_one_has_no_mark() -> None:
    without = parse_batch(batch())
    for older in range(1, FORMAT + 1):
        assert parse_batch(batch(SMX, in_format(older))) == without


def test_who_only_looks_reads_of_a_newer_format_what_can_be_read() -> None:
    assert parse_batch(batch(SMX, in_format(FORMAT + 1)), any_format=True) == parse_batch(batch())


def test_moments_of_any_zone_come_out_in_utc() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    envelope = ENVELOPE._replace(received_at=ENVELOPE.received_at.astimezone(east))
    (smx,) = parse_batch(render_batch(ID, "r", [render_smx(envelope, parse_report(SAMPLE))])).smx
    assert smx.envelope.received_at.tzinfo is UTC
    assert smx.envelope == ENVELOPE


def test_a_report_that_grows_over_12_mib_is_too_large() -> None:
    details = f"<StateDetails>{'&gt;' * (MAX_SMX_BYTES // 4)}</StateDetails>"
    document = report(message(TOPIC + STATE + details)).encode()
    with pytest.raises(Refused) as refusal:
        render_smx(ENVELOPE, document)
    assert refusal.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(report().encode(), Reason.BAD_STRUCTURE, id="a report"),
        pytest.param(batch(""), Reason.BAD_STRUCTURE, id="nothing in it"),
        pytest.param(batch(report()), Reason.BAD_STRUCTURE, id="a bare report in it"),
        pytest.param(batch(SMX, "Relay='r'"), Reason.BAD_STRUCTURE, id="no id"),
        pytest.param(batch(SMX, "ID='1'"), Reason.BAD_STRUCTURE, id="a strange id"),
        pytest.param(batch(SMX, in_format("two")), Reason.BAD_STRUCTURE, id="a strange format"),
        pytest.param(batch(SMX, in_format("0")), Reason.BAD_STRUCTURE, id="no such format"),
        pytest.param(batch(SMX, in_format("9" * 5000)), Reason.BAD_STRUCTURE, id="a long format"),
        pytest.param(batch(SMX, in_format(FORMAT + 1)), Reason.NEWER_FORMAT, id="a newer format"),
        pytest.param(batch("<New/>", in_format("99")), Reason.NEWER_FORMAT, id="news in it"),
        pytest.param(batch(SMX.replace(report(), "")), Reason.BAD_STRUCTURE, id="an empty SMX"),
        pytest.param(batch(SMX.replace(report(), report() * 2)), Reason.BAD_STRUCTURE, id="two"),
        pytest.param(batch(SMX.replace("ReceivedAt", "At")), Reason.BAD_STRUCTURE, id="no moment"),
        pytest.param(batch(SMX.replace(":00Z'", "'")), Reason.BAD_DATE, id="no zone"),
        pytest.param(batch(SMX.replace("2011-01", "2011-13")), Reason.BAD_DATE, id="no such month"),
        pytest.param(
            batch(SMX.replace("2011-01-07T18:40:00Z", "0001-01-01T00:00:00+09:00")),
            Reason.BAD_DATE,
            id="before the calendar",
        ),
        pytest.param(batch(SMX.replace('"1431"', '"0"')), Reason.BAD_SERIAL, id="a bad report"),
        pytest.param(b"<!DOCTYPE a>" + batch(), Reason.DOCTYPE, id="a DOCTYPE"),
        pytest.param(b" " * (16 * 1024 * 1024 + 1), Reason.TOO_LARGE, id="17 MiB"),
    ],
)  # fmt: skip
def test_a_bad_batch_is_refused(body: bytes, reason: Reason) -> None:
    with pytest.raises(Refused) as refusal:
        parse_batch(body)
    assert refusal.value.reason is reason


@given(st.binary() | damaged(st.just(batch())))
def test_no_bytes_make_a_batch_raise_anything_else(body: bytes) -> None:
    try:
        parse_batch(body)
    except Refused as refusal:
        assert refusal.detail  # noqa: PT017 (whether it is refused is not the point)


@given(reports())
def test_a_report_value_and_its_text_make_the_same_smx(written: Report) -> None:
    as_text = render_smx(ENVELOPE, as_sent(render_report(written)))
    by_value = render_smx(ENVELOPE, written)
    read = [parse_batch(render_batch(ID, "r", [smx])) for smx in (as_text, by_value)]
    assert read[0] == read[1]
