"""Waiting for a server that is away: a long outage does not make the pauses long."""

import threading
import time
from collections.abc import Callable

import pytest
import structlog
import tenacity

from runtime.workers import retry
from runtime.workers.retry import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    TOLD_AGAIN,
    WORKED,
    until_available,
)
from schemas.errors import BrokerUnavailable

#: Seconds from a server's return within which workers have to go on.
PROMISED = 10.0


@pytest.mark.parametrize("attempt", [1, 5, 20, 1_000, 1_000_000])
def test_no_pause_is_longer_than_the_longest(attempt: int) -> None:
    retrying = until_available(threading.Event(), "test")
    state = tenacity.RetryCallState(retrying, None, (), {})
    state.attempt_number = attempt

    assert 0 < retrying.wait(state) <= LONGEST_PAUSE + FIRST_PAUSE < PROMISED / 2


def failing(lasted: list[float], monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A step that fails after each of these seconds, and then works."""
    now, steps = [1e6], iter(lasted)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def step() -> None:
        seconds = next(steps, None)
        if seconds is not None:
            now[0] += seconds
            raise BrokerUnavailable("away")

    return step


@pytest.mark.parametrize(
    ("lasted", "told"),
    [
        pytest.param([0, 0, 0], 1, id="one outage"),
        pytest.param([0, WORKED + 1, 0], 2, id="it worked in between"),
        pytest.param([TOLD_AGAIN / 30] * 29, 1, id="an outage of nearly ten minutes"),
        pytest.param([TOLD_AGAIN / 30] * 32, 2, id="an outage of more than ten minutes"),
    ],
)
def test_each_outage_is_told_and_a_long_one_again(
    lasted: list[float], told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = failing(lasted, monkeypatch)
    retrying = until_available(threading.Event(), "test")
    retrying.sleep = lambda _: None
    # Another test of this process may have used the module's logger, which is then kept.
    monkeypatch.setattr(retry, "_log", structlog.get_logger())
    with structlog.testing.capture_logs() as lines:
        retrying(step)
    assert [line["why"] for line in lines] == ["away"] * told


def test_the_first_pause_after_an_outage_that_ended_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step, pauses = failing([0.0] * 10 + [WORKED + 1], monkeypatch), list[float]()
    retrying = until_available(threading.Event(), "test")
    retrying.sleep = pauses.append
    retrying(step)
    assert pauses[-2] >= LONGEST_PAUSE
    assert pauses[-1] <= 2 * FIRST_PAUSE
