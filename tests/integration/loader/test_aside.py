"""Parts that could not be loaded are retried when due, one at a time, in the same session only."""

import time
from pathlib import Path

import pytest

from loader.aside import LONGEST_PAUSE, Aside, Part
from loader.inbox import Held
from runtime.broker import Delivery, Properties
from runtime.workers import HeartbeatFile, judge, read_heartbeats
from tests.support.waiting import wait_until


def part(*tags: int, session: int = 1, why: str = "no room", tries: int = 0) -> Part:
    held = [
        Held(session, 0.0, Delivery(tag, "queue", b"body", Properties(), redelivered=False))
        for tag in tags
    ]
    return Part(tuple(held), 0, None, why, tries)


def due(aside: Aside) -> Part:
    found = wait_until(aside.take, what="a part that is due")
    assert found is not None
    return found


def problem(aside: Aside, home: Path) -> str | None:
    aside._heartbeat.beat(held=0, now=True)
    (heartbeat,) = read_heartbeats(home, "loader")
    return judge(heartbeat, now=time.monotonic(), interval=60).problem


@pytest.fixture
def aside(tmp_path: Path) -> Aside:
    found = Aside(HeartbeatFile(tmp_path, "loader"))
    found.see(1)
    return found


def test_one_part_at_a_time_is_tried_again(aside: Aside) -> None:
    first, second = part(1, 2), part(3)
    aside.put([first, second])
    assert aside.take() is None, "not at once"
    again = due(aside)
    assert again.deliveries == first.deliveries
    assert again.tries == 1
    assert aside.take() is None, "somebody is at one"
    # A part that a thread is retrying is not finished.
    assert aside.without([*first.deliveries, *second.deliveries, *part(4).deliveries]) == list(
        part(4).deliveries
    )
    aside.give_back([])
    assert aside.without(first.deliveries) == list(first.deliveries)
    assert aside.take() is not None, "due at once, since a cause is gone"


def test_what_was_tried_often_waits_no_longer_than_the_longest_pause(aside: Aside) -> None:
    aside.put([part(1, tries=10_000)])
    ((due, _),) = aside._waiting
    assert 0 < due - time.monotonic() <= LONGEST_PAUSE


def test_a_new_session_brings_everything_again(aside: Aside) -> None:
    aside.put([part(1), part(2)])
    due(aside)
    aside.see(2)
    aside.give_back([part(1)])
    assert aside.without(part(1).deliveries + part(2).deliveries) != []
    aside.put([part(1, session=2)])
    assert aside.without(part(1, session=2).deliveries) == []


def test_only_a_part_that_was_set_aside_before_others_were_loaded_has_a_witness(
    aside: Aside,
) -> None:
    aside.put([part(1)])
    again = due(aside)
    assert not aside.others_loaded(again)
    aside.loaded()
    assert aside.others_loaded(again)
    assert not aside.others_loaded(part(2)), "it is new"


def test_health_tells_the_causes_and_their_end(aside: Aside, tmp_path: Path) -> None:
    aside.put([part(1, 2), part(3, why="no right")])
    told = problem(aside, tmp_path)
    assert told is not None
    assert told.startswith("what was set aside waits: no room (other causes: 1); batches that")
    assert "mended: 3," in told
    for _ in range(2):
        due(aside)
        aside.give_back([])
    assert problem(aside, tmp_path) is None
    aside.put([part(1)])
    assert problem(aside, tmp_path) is not None
    aside.see(2)
    assert problem(aside, tmp_path) is None, "it comes again"
