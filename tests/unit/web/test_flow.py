"""Depths and rates, and the charts of them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from console.queries.workers import WorkerRow
from console.status.gather import BrokerStatus, DeadLetterCount, QueueStatus, Status
from schemas.errors import ExitCode
from schemas.report import Lane
from schemas.topology import DEAD, INCOMING, REPORTS, in_shard
from tests.unit.console.test_findings import HEALTHY
from web.charts import HEIGHT, WIDTH, charts, sparse
from web.flow import Flow, flow

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def status(
    reports: int,
    *,
    at: datetime = NOW,
    incoming: float | None = None,
    settled: float | None = None,
    dead: tuple[int, int, bool] = (0, 0, False),
) -> Status:
    """Some reports and one batch in each queue wait, and a relay is at work.

    Args:
        dead: the depth of the dead letters, how many were looked at, and whether there are more.
    """
    depth, seen, cut = dead
    queues = [
        QueueStatus(REPORTS, "reports", reports, 1, None, incoming, settled, None),
        QueueStatus(DEAD, "dead", depth, 0, None, None, None, None),
        *(QueueStatus(name, "batches", 1, 1, None, None, None, None) for name in INCOMING.values()),
    ]
    counts = [DeadLetterCount("relay", "doctype", seen)] if seen else []
    broker = BrokerStatus(queues, counts, cut, management=incoming is not None)
    relay = WorkerRow(
        *(UUID(int=1), "relay", "host-1", 1, "1", at, at, at, False, 10.0, None),
        *(0, 0, 0, 0, 0, 0, {}),
    )
    lost = relay._replace(late=True, reports_per_second=99.0)
    half = HEALTHY._replace(workers=[relay, lost])
    return Status(at, broker, half, [], ExitCode.DONE)


def test_the_broker_tells_rates_where_it_can() -> None:
    found = flow(status(5, incoming=3.0, settled=2.0), None)
    assert (found.arriving, found.relayed) == (3.0, 2.0)
    assert (found.reports, found.batches, found.relays, found.loaders) == (5, 3, 1, 0)
    # No loader is at work, so nothing is loaded.
    assert found.loaded == 0


def test_depths_and_rates_are_sums_over_the_shards() -> None:
    found = status(5, incoming=3.0, settled=2.0)
    assert found.broker is not None
    more = [
        QueueStatus(in_shard(REPORTS, 1), "reports", 7, 1, None, 1.5, None, None),
        QueueStatus(in_shard(INCOMING[Lane.LOW], 1), "batches", 2, 1, None, None, None, None),
    ]
    shards = found.broker._replace(queues=[*found.broker.queues, *more])
    seen = flow(found._replace(broker=shards), None)
    assert (seen.reports, seen.batches, seen.arriving, seen.relayed) == (12, 5, 4.5, 2.0)


def test_without_it_rates_follow_from_counters_and_from_what_the_queue_grew_by() -> None:
    before = flow(status(100), None)
    assert (before.arriving, before.relayed) == (None, 10.0)
    later = NOW + timedelta(seconds=2)
    assert flow(status(120, at=later), before).arriving == 20.0
    assert flow(status(0, at=later), before).arriving == 0.0


@pytest.mark.parametrize(
    ("dead", "number"),
    [((0, 3, False), 3), ((5, 3, False), 5), ((9, 3, True), 9), ((0, 3, True), 3)],
)
def test_letters_on_their_way_back_into_the_queue_are_counted(
    dead: tuple[int, int, bool], number: int
) -> None:
    assert flow(status(0, dead=dead), None).dead == number


def test_what_is_away_is_unknown() -> None:
    found = flow(Status(NOW, None, None, ["a", "b"], ExitCode.BROKER), None)
    assert [value for value in found if value is not None] == [NOW, True]


def series(*reports: int | None) -> list[Flow]:
    """One look every 20 s."""
    empty = flow(Status(NOW, None, None, ["a", "b"], ExitCode.BROKER), None)
    return [
        empty._replace(at=NOW + timedelta(seconds=20 * number), reports=value)
        for number, value in enumerate(reports)
    ]


def test_a_chart_ends_at_now_and_leaves_out_what_is_unknown() -> None:
    chart = charts(series(0, None, 10, 5))[0]
    points = [tuple(map(float, point.split(","))) for point in chart.points.split()]
    assert len(points) == 3
    assert points[-1][0] == pytest.approx(WIDTH - 3)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert points[1][1] < points[2][1] < points[0][1]
    assert (chart.newest, chart.largest) == (5, 10)


def test_a_value_of_before_a_server_went_away_is_not_that_of_now() -> None:
    chart = charts(series(9, 4, None))[0]
    assert (chart.newest, chart.largest) == (None, 9)
    assert float(chart.points.split()[-1].split(",")[0]) < WIDTH - 3
    # The largest is one of those drawn.
    assert charts(series(99, *[1] * 31))[0].largest == 1


def test_the_table_has_a_row_for_each_half_minute_newest_first() -> None:
    assert [one.reports for one in sparse(series(0, 1, 2, 3, 4))] == [4, 2, 0]


def test_a_chart_without_values_and_one_of_zeros_can_be_drawn() -> None:
    assert charts(series(None))[0].points == ""
    assert charts([])[0].newest is None
    assert "nan" not in charts(series(0, 0))[0].points
    # What is older than the chart shows is left out.
    assert len(charts(series(*range(60)))[0].points.split()) == 31
