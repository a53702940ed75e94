"""Counts the dead letters, and looks at them no more often than it must."""

import threading
from time import monotonic
from typing import NamedTuple

from console.dead.box import Box
from console.status.gather import DeadLetterCount, count_letters
from runtime.broker import Administration
from runtime.settings import Settings
from schemas.errors import BrokerUnavailable
from schemas.topology import DEAD

#: Seconds after which they are looked at again although their number is the same: as many may have
#: come as were replayed.
_AGAIN = 120.0


class DeadLetters(NamedTuple):
    """Dead letters by reason; `cut` when there are more than were read."""

    counts: list[DeadLetterCount]
    cut: bool


class LetterCounts:
    """The dead letters by reason.

    Looking takes them from their queue for a moment, in which others see fewer. So they are looked
    at when their number has changed.

    Args:
        settings: with the URL of the broker.
        taking: a lock; the thread that takes dead letters from the queue holds it. Meanwhile, the
            last counts stand.
    """

    def __init__(self, settings: Settings, taking: "threading.Lock | None" = None) -> None:
        self._settings = settings
        self._taking = taking or threading.Lock()
        # What was seen, how many the queue had then, and when (seconds, monotonic).
        self._seen: tuple[DeadLetters, int, float] | None = None

    def __call__(self) -> DeadLetters:
        """Count them.

        Raises:
            StatesysError: they are not known; as `Administration`.
        """
        if not self._taking.acquire(blocking=False):
            if self._seen is not None:
                return self._seen[0]
            raise BrokerUnavailable("somebody else looks at the dead letters or moves them")
        try:
            return self._counted()
        finally:
            self._taking.release()

    def _counted(self) -> DeadLetters:
        with Administration(self._settings.required_amqp_url(), name="statesys metrics") as admin:
            depth = admin.depth(DEAD)
            number = depth.ready if depth else 0
            if self._seen is not None:
                seen, then, at = self._seen
                if number == then and monotonic() - at < _AGAIN:
                    return seen
            box = Box(admin)
            counts = count_letters(letter for letter, _ in box.look())
            found = DeadLetters(counts, box.cut)
        if not found.cut:
            # While they are on their way back, the depth leaves them out.
            number = sum(one.letters for one in found.counts)
        self._seen = found, number, monotonic()
        return found
