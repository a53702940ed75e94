"""A value that is found anew at most every few seconds, however many ask."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: Share of the time that finding may take: what takes long is found more rarely, but at least once
#: in so many seconds.
_SHARE, _LONGEST = 0.1, 60.0


class Throttled(Generic[T]):
    """Keeps a value; those who ask while it is being found wait for it. Thread-safe.

    Args:
        find: finds the value; what it raises is raised, and nothing is kept.
        seconds: for which the value is good, at least.
    """

    def __init__(self, find: Callable[[], T], *, seconds: float) -> None:
        self._find = find
        self._seconds = seconds
        self._lock = threading.Lock()
        # The value, and until when it is good (seconds, monotonic).
        self._kept: tuple[T, float] | None = None

    def __call__(self) -> T:
        """Return the value."""
        with self._lock:
            began = time.monotonic()
            if self._kept is not None and began < self._kept[1]:
                return self._kept[0]
            found = self._find()
            ended = time.monotonic()
            rest = min((ended - began) / _SHARE, _LONGEST)
            self._kept = found, ended + max(self._seconds, rest)
            return found
