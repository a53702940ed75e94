"""Who sends most, as the commands, the pages and the API tell it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from console.names import topic_name
from console.queries.activity import (
    ActivityQueries,
    TopClients,
    TopicActivity,
    TopicTotals,
    Typical,
)
from runtime.windows import Window, topic_windows


class BusyClient(NamedTuple):
    """A client and what it sent in the two windows, repeated messages included.

    Attributes:
        hour, day: messages.
        per_hour: rate in the hour's window; None if that is too short to tell.
        hour_times, day_times: against the median of the clients that sent anything.
    """

    client_id: UUID
    name: str
    hour: int
    per_hour: float | None
    hour_times: float | None
    day: int
    day_times: float | None


class BusyTopic(NamedTuple):
    """A topic type and what came of it in the two windows.

    Attributes:
        hour, day: messages.
        per_hour: rate in the hour's window; None if that is too short to tell.
        hour_percent, day_percent: of all messages; None if none came.
        usual: the median of the earlier hours in which there were any.
        times: `per_hour` against `usual`.
    """

    topic_type: int
    topic_name: str
    hour: int
    per_hour: float | None
    hour_percent: float | None
    usual: int | None
    times: float | None
    day: int
    day_percent: float | None


class TopTopics(NamedTuple):
    """The topic types of which most came."""

    as_of: datetime
    hour: Window
    day: Window
    totals: TopicTotals
    found: Sequence[TopicActivity]


def top_topics(queries: ActivityQueries, *, by_day: bool, limit: int) -> TopTopics:
    """Ask for the topic types; `by_day`: the order is that of the longer window."""
    now = queries.now()
    hour, day = topic_windows(queries.first_topic_hour() or now, now)
    begins = {"now": now, "hour": hour.begin, "day": day.begin}
    found = queries.top_topics(**begins, by_day=by_day, limit=limit)
    return TopTopics(now, hour, day, queries.topic_totals(**begins), found)


def clients_as_data(top: TopClients) -> dict[str, Any]:
    """The clients, most messages first, and what all clients sent in the two windows."""
    return {
        "as_of": top.hour.end,
        "hour": _sent(top.hour, top.typical.get("hour")),
        "day": _sent(top.day, top.typical.get("day")),
        "clients": busy_clients(top),
    }


def topics_as_data(top: TopTopics) -> dict[str, Any]:
    """The topic types, most messages first, and what came in the two windows."""
    return {
        "as_of": top.as_of,
        "hour": {**_limits(top.hour), "messages": top.totals.hour},
        "day": {**_limits(top.day), "messages": top.totals.day},
        "topics": busy_topics(top),
    }


def busy_clients(top: TopClients) -> list[BusyClient]:
    """The clients, most messages first."""
    return [
        BusyClient(
            client_id=row.client_id,
            name=row.name,
            hour=row.hour,
            per_hour=_rounded(top.hour.an_hour(row.hour)),
            hour_times=_times(top.typical.get("hour"), row.hour),
            day=row.day,
            day_times=_times(top.typical.get("day"), row.day),
        )
        for row in top.found
    ]


def busy_topics(top: TopTopics) -> list[BusyTopic]:
    """The topic types, most messages first."""
    rates = [top.hour.an_hour(row.hour) for row in top.found]
    return [
        BusyTopic(
            topic_type=row.topic_type,
            topic_name=topic_name(row.topic_type),
            hour=row.hour,
            per_hour=_rounded(rate),
            hour_percent=_percent(row.hour, top.totals.hour),
            usual=row.usual,
            times=round(rate / row.usual, 1) if row.usual and rate is not None else None,
            day=row.day,
            day_percent=_percent(row.day, top.totals.day),
        )
        for row, rate in zip(top.found, rates, strict=True)
    ]


def _sent(window: Window, typical: Typical | None) -> dict[str, Any]:
    sent = typical or Typical("", clients=0, messages=0, median=0)
    return {
        **_limits(window),
        "clients": sent.clients,
        "messages": sent.messages,
        "median": sent.median,
    }


def _limits(window: Window) -> dict[str, datetime]:
    return {"from": window.begin, "to": window.end}


def _times(typical: Typical | None, messages: int) -> float | None:
    return None if typical is None else round(messages / typical.median, 1)


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 1)


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None
