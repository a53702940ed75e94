"""Log lines in CMTrace's form: what is written is read, and what is damaged as far as it goes."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cmtrace import Kind, LogLine, LogReader, render_line
from tests.support.paths import DATA

AT = datetime(2011, 1, 7, 12, 40, 31, 99_000, timezone(timedelta(hours=-6)))
FORWARDED = LogLine(
    text="Successfully forwarded State Messages to the MP",
    at=AT,
    component="StateMessage",
    thread=3592,
    file="statemsg.cpp:1527",
)


def read(*pieces: str) -> list[LogLine]:
    reader = LogReader()
    found = [line for piece in pieces for line in reader.feed(piece)]
    return [*found, *reader.end()]


def test_a_line_is_written_as_the_clients_log_has_it() -> None:
    assert render_line(FORWARDED) in (DATA / "statemessage.log").read_text()


def test_the_lines_of_a_clients_log_are_read_damaged_ones_as_far_as_they_go() -> None:
    body, signing, forwarded, delivered = read((DATA / "statemessage.log").read_text())
    assert body.damaged
    assert body.text.startswith("StateMessage body: <?xml")
    assert body.text.endswith("</Report>")
    assert body.at is None
    assert signing.at == datetime(2011, 1, 7, 18, 40, 31, 37_000, UTC)
    assert signing.text == "CStateMsgManager::GetSignEncyptMode"
    assert forwarded == FORWARDED
    assert delivered.damaged
    assert delivered.text.endswith("to host 'STEVERACPRI.STARTREKNG.COM'.")


def test_the_bias_is_what_is_added_to_get_utc() -> None:
    east = replace(FORWARDED, at=AT.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert '.099-330" date="01-08-2011"' in render_line(east)
    assert read(render_line(east))[0].at == AT


def test_a_line_of_the_older_form_is_read() -> None:
    text = 'Thread "#0" started~  $$<SMS_STATE_SYSTEM><01-07-2011 12:40:31.037+360><thread=5076>\n'
    (line,) = read(text.replace("5076", "5076 (0x13D4)"))
    assert (line.text, line.component, line.thread) == (
        'Thread "#0" started',
        "SMS_STATE_SYSTEM",
        5076,
    )
    assert line.at == datetime(2011, 1, 7, 18, 40, 31, 37_000, UTC)


@pytest.mark.parametrize(
    "attributes",
    [
        '<time="25:40:31.099+360" date="01-07-2011" component="" context="" type="1" thread="1">',
        '<time="12:40:31.099+360" date="13-47-2011" component="" context="" type="1" thread="1">',
        '<time="12:40:31.099+9999" date="01-07-2011" component="" type="1" thread="1">',
        '<time="12:40:31.099+360" date="01-07-2011" component="" context="" type="9" thread="x">',
        '<time="soon" date="01-07-2011">',
        "",
        "<time=",
    ],
)
def test_a_line_whose_attributes_cannot_be_read_keeps_its_text(attributes: str) -> None:
    first, second = read(f"<![LOG[something]LOG]!>{attributes}\n{render_line(FORWARDED)}\n")
    assert first.damaged
    assert first.text.startswith("something")
    assert second == FORWARDED


def test_a_text_cannot_end_its_own_line() -> None:
    forged = 'x]LOG]!><time="1:1:1.1+0" date="01-01-2000" component="" type="3" thread="1">'
    (line,) = read(render_line(replace(FORWARDED, text=forged)))
    assert line.kind is Kind.INFORMATION
    assert line.text == forged.replace("]LOG]!>", "]LOG] !>")


def test_text_that_is_no_log_is_shown_line_by_line() -> None:
    lines = read("one\r\ntwo\n\nthree")
    assert [line.text for line in lines] == ["one", "two", "three"]
    assert all(line.damaged for line in lines)


def test_a_file_without_an_end_does_not_fill_the_memory() -> None:
    reader = LogReader()
    found = [line for _ in range(40) for line in reader.feed("x" * 65536)]
    assert found
    assert sum(len(line.text) for line in [*found, *reader.end()]) == 40 * 65536


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=60)
LINES = st.builds(
    LogLine,
    text=TEXTS.filter(lambda text: "<![LOG[" not in text),
    at=st.datetimes(
        min_value=datetime(1990, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
        max_value=datetime(2090, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-720, 840).map(lambda m: timezone(timedelta(minutes=m))),
    ).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
    component=st.sampled_from(["", "StateMessage", "SMS_STATE_SYSTEM"]),
    kind=st.sampled_from(Kind),
    thread=st.integers(0, 2**31),
    file=st.sampled_from(["", "worker.py:1"]),
)


def pieces_of(text: str, size: int) -> Iterable[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


@given(st.lists(LINES, max_size=5), st.integers(1, 50))
def test_what_is_written_is_read_however_it_is_cut(lines: list[LogLine], size: int) -> None:
    text = "".join(f"{render_line(line)}\r\n" for line in lines)
    wanted = [replace(line, text=line.text.replace("]LOG]!>", "]LOG] !>")) for line in lines]
    assert read(*pieces_of(text, size)) == wanted


@given(st.text(max_size=300), st.integers(1, 20))
def test_any_text_is_read_to_its_end(text: str, size: int) -> None:
    assert read(*pieces_of(text, size)) == read(text)
