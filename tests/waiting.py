"""Waiting in tests: bounded polling instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

# Seconds between two looks: a test that waits should lose little.
PAUSE = 0.02


def wait_until(predicate: Callable[[], T], *, timeout: float = 10.0, what: str) -> T:
    """Look until the predicate gives something true, and return it.

    Args:
        predicate: asked again and again; what it raises is not caught.
        timeout: seconds, after which the test fails.
        what: the end of the sentence "waited 10 s for ...".
    """
    deadline = time.monotonic() + timeout
    while True:
        found = predicate()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:g} s for {what}")
        time.sleep(PAUSE)
