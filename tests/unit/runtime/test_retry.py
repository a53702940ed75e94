"""Waiting for a server that is away: a long outage does not make the pauses long."""

import threading

import pytest
import tenacity

from runtime.workers.retry import FIRST_PAUSE, LONGEST_PAUSE, until_available

#: Seconds from a server's return within which workers have to go on.
PROMISED = 10.0


@pytest.mark.parametrize("attempt", [1, 5, 20, 1_000, 1_000_000])
def test_no_pause_is_longer_than_the_longest(attempt: int) -> None:
    retrying = until_available(threading.Event(), "test")
    state = tenacity.RetryCallState(retrying, None, (), {})
    state.attempt_number = attempt

    assert 0 < retrying.wait(state) <= LONGEST_PAUSE + FIRST_PAUSE < PROMISED / 2
