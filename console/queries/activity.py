"""One method for each query of `activity.sql`: who sends how much."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from console.queries.query_session import QuerySession
from runtime.windows import TOP_KEPT, Snapshot, Window, client_windows

#: Tables whose rows are compared, twice for each answer.
_COMPARED = ("client", "client_activity")
#: 100,000 clients, whose tables have 67 MB, take half a second.
_COSTLY = 8


class ClientActivity(NamedTuple):
    """Messages that a client sent in two windows."""

    client_id: UUID
    name: str
    hour: int
    day: int


class Typical(NamedTuple):
    """What clients sent in a window.

    Attributes:
        window: `hour` or `day`.
        clients: how many sent anything.
        messages: what they sent in all.
        median: of these clients, the lower of two.
    """

    window: str
    clients: int
    messages: int
    median: int


class KeptWindow(NamedTuple):
    """A window of the list that a loader keeps; the others as in `Typical`."""

    name: str
    begin: datetime
    end: datetime
    clients: int
    messages: int
    median: int


class TopClients(NamedTuple):
    """The clients that sent most, in two windows that end at `as_of`.

    Attributes:
        typical: `hour` and `day` -> what all clients sent; none for a window without any.
    """

    hour: Window
    day: Window
    typical: dict[str, Typical]
    found: list[ClientActivity]


class TopicActivity(NamedTuple):
    """Messages of a topic type in two windows.

    Attributes:
        usual: the median of the earlier hours in which there were any; None without one.
    """

    topic_type: int
    hour: int
    day: int
    usual: int | None


class TopicTotals(NamedTuple):
    """Messages of all topic types in two windows."""

    hour: int
    day: int


class ActivityQueries(QuerySession):
    """The queries of `activity.sql`."""

    def top_clients(self, *, by_day: bool, limit: int) -> TopClients:
        """The clients that sent most.

        A large site has a list that a loader keeps, of TOP_KEPT clients in each window, about five
        minutes old. Otherwise the counters of all clients are compared now.

        Args:
            by_day: the order is that of the longer window.
        """
        if limit <= TOP_KEPT and not self._small(*_COMPARED, costly=_COSTLY):
            kept = self._all("kept_windows", KeptWindow)
            if kept:
                return self._kept(kept, by_day=by_day, limit=limit)
        now = self.now()
        windows = client_windows(self._all("snapshots", Snapshot, now=now), now)
        since = {"hour": windows.hour_since, "day": windows.day_since}
        return TopClients(
            windows.hour,
            windows.day,
            {row.window: row for row in self._all("typical", Typical, **since)},
            self._all("top_clients", ClientActivity, **since, by_day=by_day, limit=limit),
        )

    def _kept(self, kept: list[KeptWindow], *, by_day: bool, limit: int) -> TopClients:
        windows = {one.name: Window(one.begin, one.end) for one in kept}
        typical = {
            one.name: Typical(one.name, one.clients, one.messages, one.median)
            for one in kept
            if one.clients
        }
        found = self._all("kept_clients", ClientActivity, by_day=by_day, limit=limit)
        return TopClients(windows["hour"], windows["day"], typical, found)

    def first_topic_hour(self) -> datetime | None:
        """The first hour of which there are counts by topic."""
        (found,) = self._first("first_topic_hour")
        assert found is None or isinstance(found, datetime)
        return found

    def topic_totals(self, *, now: datetime, hour: datetime, day: datetime) -> TopicTotals:
        """The messages of all topic types; arguments as in `top_topics`."""
        return self._all("topic_totals", TopicTotals, now=now, hour=hour, day=day)[0]

    def top_topics(
        self, *, now: datetime, hour: datetime, day: datetime, by_day: bool, limit: int | None
    ) -> list[TopicActivity]:
        """The topic types of which most came.

        Args:
            hour, day: full hours with which the windows begin.
            by_day: the order is that of the longer window.
        """
        chosen = {"now": now, "hour": hour, "day": day, "by_day": by_day, "limit": limit}
        return self._all("top_topics", TopicActivity, **chosen)
