"""What a person was asked about, until the answer comes: it may be too large for a form."""

import secrets
import threading
import time
from collections import OrderedDict

#: Seconds that an answer may take.
_PATIENCE = 600.0
#: Questions that wait for their answer; older ones are dropped.
_MOST = 32


class Questions:
    """Sets of names that were shown to people, by a word that their forms carry."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[str, tuple[float, frozenset[str]]] = OrderedDict()

    def remember(self, names: frozenset[str]) -> str:
        """Keep names; return the word for them."""
        word = secrets.token_urlsafe(16)
        with self._lock:
            self._open[word] = (time.monotonic() + _PATIENCE, names)
            while len(self._open) > _MOST:
                self._open.popitem(last=False)
        return word

    def recall(self, word: str) -> frozenset[str] | None:
        """Take out the names; None if the question is too old, or was answered already."""
        with self._lock:
            until, names = self._open.pop(word, (0.0, frozenset[str]()))
        return names if time.monotonic() < until else None
