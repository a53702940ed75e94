"""The windows in which messages are counted: about an hour and about a day, up to now. No I/O."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

#: A window of the hour that is shorter tells little, so it begins an hour earlier.
SHORTEST = timedelta(minutes=15)
#: The longest window of the day: 24 hours, and what has passed of the running one.
LONGEST = timedelta(hours=25)
#: Clients that a loader of a large site keeps for each window; a reader who wants more has to wait.
TOP_KEPT = 1000
_HOUR = timedelta(hours=1)
#: In a shorter time nothing is said of a rate.
_MEASURABLE = timedelta(minutes=1)


class Snapshot(NamedTuple):
    """The clients' counters were written down; `number` grows by one each time."""

    number: int
    taken_at: datetime


class Window(NamedTuple):
    """A stretch of time that ends now.

    Attributes:
        begin, end: timezone-aware; equal if the clock was set back in between.
    """

    begin: datetime
    end: datetime

    def an_hour(self, messages: int) -> float | None:
        """The rate of messages in an hour; None in a window that is too short to tell."""
        if self.end - self.begin < _MEASURABLE:
            return None
        return messages / ((self.end - self.begin) / _HOUR)


class ClientWindows(NamedTuple):
    """Two windows, and the numbers of the snapshots with which they begin."""

    hour: Window
    hour_since: int
    day: Window
    day_since: int


def client_windows(snapshots: Sequence[Snapshot], now: datetime) -> ClientWindows:
    """Choose windows that begin with a snapshot.

    Args:
        snapshots: newest first, at least one; none later than `now`.
        now: timezone-aware.
    """
    hour = next((s for s in snapshots if now - s.taken_at >= SHORTEST), snapshots[-1])
    # Without a loader there are no snapshots, so even the window of the hour may be longer.
    of_day = [*takewhile(lambda s: now - s.taken_at <= LONGEST, snapshots)]
    day = min(of_day[-1], hour) if of_day else hour
    return ClientWindows(
        Window(hour.taken_at, now), hour.number, Window(day.taken_at, now), day.number
    )


def topic_windows(first: datetime, now: datetime) -> tuple[Window, Window]:
    """Choose windows that begin with a full hour: about an hour, and about a day.

    Args:
        first: the first hour that was counted; no window begins before it.
        now: timezone-aware, UTC.
    """
    mark = now.replace(minute=0, second=0, microsecond=0)
    hour = mark if now - mark >= SHORTEST else mark - _HOUR
    first = min(first, mark)
    return (
        Window(max(hour, first), now),
        Window(max(mark - timedelta(days=1), first), now),
    )
