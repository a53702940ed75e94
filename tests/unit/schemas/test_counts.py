"""The finer counts of a heartbeat: durations in buckets, and what older workers tell."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.counts import CHUNK_DURATION, QUEUE_TIME, Counts, Histogram
from schemas.errors import Refused
from schemas.workers import Role, parse_heartbeat, render_heartbeat
from tests.support.heartbeats import beat

SMALL = Histogram("small", (10, 100))
durations = st.floats(0, 1e6)


def counted(*seconds: float) -> Counts:
    counts = Counts()
    for one in seconds:
        SMALL.add_to(counts, one)
    return counts


def test_a_duration_counts_in_every_bucket_from_its_own_on() -> None:
    counts = counted(0.01, 0.011, 0.1, 7)
    assert SMALL.buckets(counts) == [(0.01, 1), (0.1, 3), (None, 4)]
    assert SMALL.seconds(counts) == pytest.approx(7.121)


def test_a_duration_below_zero_counts_as_none() -> None:
    assert counted(-5) == counted(0)


def test_several_observations_are_counted_at_once() -> None:
    counts = Counts()
    SMALL.add_to(counts, 0.05, times=3)
    assert counts == counted(0.05, 0.05, 0.05)


@given(st.lists(durations), st.lists(durations))
def test_the_sum_of_two_workers_is_one_that_did_both(one: list[float], two: list[float]) -> None:
    assert counted(*one) + counted(*two) == +counted(*one, *two)


@given(st.lists(durations))
def test_no_bucket_is_larger_than_the_next(seconds: list[float]) -> None:
    for histogram in (CHUNK_DURATION, QUEUE_TIME):
        counts = Counts()
        for one in seconds:
            histogram.add_to(counts, one)
        found = [bucket.observations for bucket in histogram.buckets(counts)]
        assert found == sorted(found)
        assert found[-1] == len(seconds)


# -- in heartbeats -------------------------------------------------------------------------------


def changed(**values: Any) -> bytes:
    """A heartbeat of a loader with other values."""
    whole = beat(
        *(UUID(int=1), 5), role=Role.LOADER, messages=9, refused=3, quarantined=1, counts={"a": 1}
    )
    return json.dumps(json.loads(render_heartbeat(whole)) | values).encode()


def test_an_older_worker_tells_neither_reason_nor_verdict() -> None:
    found = json.loads(changed())
    del found["counts"]
    assert parse_heartbeat(json.dumps(found).encode()).counts == {
        "refused.unknown": 2,
        "refused.quarantined": 1,
        "loaded.unknown": 9,
    }


def test_counts_of_a_newer_worker_are_kept() -> None:
    assert parse_heartbeat(changed(counts={"news.of.2030": 7})).counts == {"news.of.2030": 7}


@pytest.mark.parametrize(
    "counts",
    [
        {"messages": -1},
        {"messages": 1.5},
        {"messages": 2**63},
        {"messages": True},
        {"Big": 1},
        {"": 1},
        {"a\n": 1},
        {"x" * 64: 1},
        {f"c{n}": n for n in range(301)},
        ["a"],
        "text",
        7,
    ],
    ids=str,
)
def test_counts_that_are_none_are_refused(counts: Any) -> None:
    with pytest.raises(Refused):
        parse_heartbeat(changed(counts=counts))
