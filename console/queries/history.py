"""How far back the history reaches, and how large it is."""

from datetime import date, datetime
from typing import NamedTuple

from console.queries.query_session import QuerySession


class KeptHistory(NamedTuple):
    """The history by its partitions, each of which holds one day (UTC) of loading.

    Attributes:
        oldest_day: the first day of which there are rows; None without any.
        bytes: size of all partitions, indexes included.
        full_days: days from the oldest one to yesterday.
        full_bytes: size of these.
        full_share: their share of all rows, from 0 to 1.
        days_ahead: coming days whose partitions exist.
        today: whether there is a partition for what is loaded now.
    """

    oldest_day: date | None
    bytes: int
    full_days: int
    full_bytes: int
    full_share: float
    days_ahead: int
    today: bool

    @property
    def bytes_a_day(self) -> int | None:
        """Mean size of a full day; None without one."""
        return round(self.full_bytes / self.full_days) if self.full_days else None

    def rows_a_day(self, rows: int) -> int | None:
        """Mean number of rows of a full day, given that of the whole history; None without one."""
        return round(rows * self.full_share / self.full_days) if self.full_days else None


class HistoryQueries(QuerySession):
    """The queries of `history.sql`."""

    def kept_history(self, *, now: datetime | None = None) -> KeptHistory:
        """How far back the history reaches, and how large it is; the time of it by `now`."""
        return self._all("kept_history", KeptHistory, now=now or self.now())[0]
