"""Laws of reading and writing reports, for every report and for every sequence of bytes."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.digest import DIGEST_BYTES, digest
from schemas.errors import Refused
from schemas.report import Report, StateMessage
from schemas.report_reader import parse_report
from schemas.report_writer import render_report, report_xml
from tests.support.documents import SAMPLE, TIME, message, report
from tests.support.report_strategies import OFFSETS, damaged, messages, reports


@given(reports())
def test_a_report_is_read_as_it_was_written(written: Report) -> None:
    assert parse_report(render_report(written)) == written


@given(reports(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]))
def test_the_encoding_changes_nothing(written: Report, encoding: str) -> None:
    assert parse_report(report_xml(written).encode(encoding)) == written


@given(st.binary() | st.binary().map(lambda tail: b"<Report>" + tail))
@example(b"")
@example(b"\xff\xfe")
@example("<?\U00010000?><!DOCTYPE a [<!ENTITY b 'c'>]><a b='&b;'/>".encode())
def test_no_bytes_make_the_reader_raise_anything_but_a_refusal(body: bytes) -> None:
    parse_or_refuse(body)


@settings(max_examples=400)
@given(damaged(reports().map(render_report) | reports().map(report_xml).map(str.encode)))
def test_no_damage_makes_the_reader_raise_anything_but_a_refusal(body: bytes) -> None:
    parse_or_refuse(body)


def parse_or_refuse(body: bytes) -> None:
    try:
        read = parse_report(body)
    except Refused as refusal:
        assert refusal.detail  # noqa: PT017 (either is right; a reason must be given)
    else:
        assert read.messages


@given(st.lists(messages(), min_size=2, max_size=2))
def test_two_digests_are_equal_when_the_values_are(two: list[StateMessage]) -> None:
    first, second = two
    assert (digest(first) == digest(second)) == (first == second)


@given(messages(), st.data())
def test_any_other_value_makes_another_digest(one: StateMessage, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(StateMessage._fields))
    # A message has its serial as a number or as text, not both.
    other = one._replace(**{field: getattr(data.draw(messages()), field)})
    numbers = [other.serial is not None, other.serial_text is not None]
    assert all(numbers) or (digest(one) == digest(other)) == (one == other)


@given(messages(), OFFSETS)
def test_a_digest_does_not_depend_on_the_zone_a_time_was_written_in(
    one: StateMessage, offset: timedelta
) -> None:
    moment = datetime(2011, 1, 7, 18, 40, 30, 662000, tzinfo=UTC)
    minutes = int(offset / timedelta(minutes=1))
    local = moment.astimezone(timezone(offset)).strftime("%Y%m%d%H%M%S.%f") + f"{minutes:+04}"
    read = [parse_report(report(message(time=time)).encode()).messages[0] for time in (TIME, local)]
    assert digest(read[0]) == digest(read[1])
    assert len(digest(one)) == DIGEST_BYTES


def test_a_digest_is_the_same_on_every_machine_and_for_ever() -> None:
    # The history stores it: with another value the loader would take every duplicate for new.
    assert digest(parse_report(SAMPLE).messages[0]).hex() == "e0f26a4c339fda9cb13aef0325aebe1d"
