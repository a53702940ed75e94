"""One method for each query of `activity.sql`: who sends how much."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from console.queries.asking import Asking


class Snapshot(NamedTuple):
    """The clients' counters were written down; `number` grows by one each time."""

    number: int
    taken_at: datetime


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


class ActivityQueries(Asking):
    """The queries of `activity.sql`."""

    def snapshots(self, *, now: datetime) -> list[Snapshot]:
        """The snapshots of the clients' counters that are kept, newest first; at least one."""
        return self._all("snapshots", Snapshot, now=now)

    def top_clients(self, *, hour: int, day: int, by_day: bool, limit: int) -> list[ClientActivity]:
        """The clients that sent most.

        Args:
            hour, day: numbers of the snapshots with which the windows begin.
            by_day: the order is that of the longer window.
        """
        chosen = {"hour": hour, "day": day, "by_day": by_day, "limit": limit}
        return self._all("top_clients", ClientActivity, **chosen)

    def typical(self, *, hour: int, day: int) -> dict[str, Typical]:
        """By window, what all clients sent; a window in which nobody sent anything is left out."""
        return {row.window: row for row in self._all("typical", Typical, hour=hour, day=day)}

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
