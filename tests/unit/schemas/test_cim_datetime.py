"""CIM datetimes."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import cim_datetime
from schemas.errors import Refused
from schemas.refusal import Reason
from tests.support.report_strategies import MOMENTS, OFFSETS


@given(MOMENTS)
def test_a_moment_is_read_as_it_was_written(moment: datetime) -> None:
    read = cim_datetime.parse(cim_datetime.render(moment))
    assert read == moment
    assert read.tzinfo is UTC


@given(MOMENTS, OFFSETS)
def test_the_offset_is_minutes_east_of_utc(moment: datetime, offset: timedelta) -> None:
    minutes = int(offset / timedelta(minutes=1))
    local = moment.astimezone(timezone(offset))
    text = local.strftime("%Y%m%d%H%M%S.%f") + f"{minutes:+04}"
    assert cim_datetime.parse(text) == moment


def test_minus_nothing_is_nothing() -> None:
    assert cim_datetime.parse("20110107184030.662000-000") == cim_datetime.parse(
        "20110107184030.662000+000"
    )


def test_a_moment_of_any_zone_is_written_in_utc() -> None:
    moment = datetime(2011, 1, 7, 20, 40, 30, 5, tzinfo=timezone(timedelta(hours=2)))
    assert cim_datetime.render(moment) == "20110107184030.000005+000"


def test_the_zone_of_the_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime(2011, 1, 7, 20, 40, 30, 5, tzinfo=timezone(timedelta(hours=2)))
    with monkeypatch.context() as machine:
        machine.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        written = cim_datetime.render(moment)
    time.tzset()
    assert written == "20110107184030.000005+000"


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("19700101000000.000000+000", 1970),
        ("19691231235959.000000-001", 1970),
        ("22001231235959.999999+000", 2200),
        ("22010101000000.000000+001", 2200),
        ("20240229120000.000000+000", 2024),
    ],
)
def test_the_years_count_in_utc(text: str, year: int) -> None:
    assert cim_datetime.parse(text).year == year


@given(st.text() | st.text("0123456789.+-", min_size=24, max_size=26))
def test_other_texts_are_bad_dates_and_nothing_worse(text: str) -> None:
    try:
        moment = cim_datetime.parse(text)
    except Refused as refusal:
        assert refusal.reason is Reason.BAD_DATE  # noqa: PT017 (a few of them are dates)
    else:
        assert cim_datetime.FIRST_YEAR <= moment.year <= cim_datetime.LAST_YEAR
