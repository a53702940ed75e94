"""Waiting in tests: bounded polling instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

# Seconds between two looks at first; later, a share of the time waited so far. A short wait loses
# little time, and a long one puts little load on the servers.
PAUSE, _SHARE = 0.02, 0.05


def wait_until(predicate: Callable[[], T], *, timeout: float = 30.0, what: str) -> T:
    """Call the predicate until its result is true, and return the result.

    Args:
        predicate: called repeatedly; its exceptions are not caught.
        timeout: seconds, after which the test fails.
        what: the end of the sentence "waited 10 s for ...".
    """
    began = time.monotonic()
    while True:
        found = predicate()
        if found:
            return found
        waited = time.monotonic() - began
        if waited > timeout:
            pytest.fail(f"waited {timeout:g} s for {what}")
        time.sleep(max(PAUSE, waited * _SHARE))
