"""The windows of `statesys top` begin with what was counted, and say how long they are."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from runtime.windows import LONGEST, SHORTEST, Snapshot, client_windows, topic_windows

NOW = datetime(2026, 3, 2, 12, 37, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def snapshots(*ages: timedelta) -> list[Snapshot]:
    """Newest first; numbers grow with time."""
    return [Snapshot(100 - at, NOW - age) for at, age in enumerate(ages)]


def test_the_hour_begins_with_the_last_snapshot_and_the_day_with_the_oldest_of_25_hours() -> None:
    found = client_windows(snapshots(*(n * HOUR + 37 * MINUTE for n in range(25))), NOW)
    assert (found.hour_since, found.day_since) == (100, 76)
    assert found.hour.begin == datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    assert found.day.begin == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_a_snapshot_of_just_now_is_too_young_for_a_window() -> None:
    found = client_windows(snapshots(5 * MINUTE, HOUR), NOW)
    assert (found.hour_since, found.day_since) == (99, 99)


def test_the_first_snapshot_of_a_site_is_old_enough() -> None:
    found = client_windows(snapshots(MINUTE), NOW)
    assert (found.hour_since, found.day_since) == (100, 100)
    assert found.hour.an_hour(2) == 120


def test_a_long_pause_makes_both_windows_long() -> None:
    found = client_windows(snapshots(5 * MINUTE, 72 * HOUR), NOW)
    assert found.hour == found.day
    assert found.hour.begin == NOW - 72 * HOUR


def test_a_window_without_length_has_no_rate() -> None:
    found = client_windows(snapshots(timedelta(0)), NOW)
    assert found.hour.an_hour(9) is None


@given(st.lists(st.timedeltas(timedelta(0), 60 * HOUR), min_size=1, max_size=25).map(sorted))
def test_the_day_is_never_shorter_than_the_hour_nor_longer_without_need(
    ages: list[timedelta],
) -> None:
    found = client_windows(snapshots(*ages), NOW)
    assert found.day.begin <= found.hour.begin
    assert found.day_since <= found.hour_since
    length = found.hour.end - found.hour.begin
    assert length >= SHORTEST or found.hour_since == 100 - len(ages) + 1
    if length <= LONGEST:
        assert found.day.end - found.day.begin <= LONGEST


@given(st.timedeltas(timedelta(0), 60 * HOUR), st.timedeltas(timedelta(0), 24 * HOUR))
def test_windows_of_topics_begin_with_full_hours_that_were_counted(
    age: timedelta, later: timedelta
) -> None:
    now = NOW + later
    mark = now.replace(minute=0, second=0, microsecond=0)
    first = (now - age).replace(minute=0, second=0, microsecond=0)
    hour, day = topic_windows(first, now)
    assert first <= day.begin <= hour.begin <= mark
    assert hour.end - hour.begin <= HOUR + SHORTEST
    assert day.end - day.begin <= LONGEST
    if first <= mark - 24 * HOUR:
        assert day.begin == mark - 24 * HOUR
        assert hour.end - hour.begin >= SHORTEST
