"""Waiting for what cannot be subscribed to: another program's start or end."""

import time
from collections.abc import Callable

# Seconds between two looks: short beside any server's start, long beside one look's cost.
PAUSE = 0.05


def until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Look until the condition holds; False when it did not within that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True
