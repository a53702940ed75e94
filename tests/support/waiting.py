"""Waiting in tests: bounded polling instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

# Seconds between two looks, and the share of the time since the first that they may be apart: a
# test that waits should lose little, and a look that connects to a server takes it from others.
PAUSE, _SHARE = 0.02, 0.05


def wait_until(predicate: Callable[[], T], *, timeout: float = 10.0, what: str) -> T:
    """Look until the predicate gives something true, and return it.

    Args:
        predicate: asked again and again; what it raises is not caught.
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
