"""Answers that all viewers share for some seconds."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")

#: Questions whose answers are kept.
_MOST = 64


class Cached(Generic[Value]):
    """One reading of each question for all viewers; who asks meanwhile waits for it.

    Args:
        seconds: how long an answer is given again.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept[Value]] = {}

    def get(self, question: Hashable, read: Callable[[], Value]) -> Value:
        """The answer, read anew if the last one is too old; errors are raised and not kept."""
        with self._lock:
            kept = self._kept.pop(question, None) or _Kept()
            self._kept[question] = kept
            while len(self._kept) > _MOST:
                # The one that was asked for longest ago.
                del self._kept[next(iter(self._kept))]
        with kept.lock:
            if kept.value is None or time.monotonic() - kept.at > self._seconds:
                kept.value = (read(),)
                kept.at = time.monotonic()
            return kept.value[0]


class _Kept(Generic[Value]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: tuple[Value] | None = None
        self.at = 0.0
