"""The dead letters as the viewer saw them last, and how it looks at them.

Looking takes them from the queue and gives them back. So it is done rarely, for all viewers
together, and only the beginning of a body is kept.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from console.dead.box import Box
from console.dead.search import ClientLetter, letter_by_client
from runtime.broker import Administration
from runtime.broker.dead_letters import Letter, headers_of
from schemas.topology import DEAD

#: Letters and bytes of bodies that are looked at, at most.
_MOST, _MOST_BYTES = 1000, 64 * 1024 * 1024
#: Bytes of a body that are kept: 1,000 letters take 32 MiB at most.
KEPT = 32 * 1024
#: Seconds between two looks: when the number has changed, and otherwise.
_SOON, _LATE = 15.0, 120.0


class SeenLetter(NamedTuple):
    """A dead letter.

    Attributes:
        body: its first `KEPT` bytes.
        by_client: what it holds of each client in it.
    """

    letter: Letter
    headers: Mapping[str, Any]
    body: bytes
    by_client: Mapping[UUID, ClientLetter]


class SeenLetters(NamedTuple):
    """The dead letters, oldest first, as of a moment; `cut` means that there are more."""

    as_of: datetime | None = None
    letters: Sequence[SeenLetter] = ()
    cut: bool = False


class LetterWatch:
    """Looks at the dead letters when it is time to.

    Args:
        taking: a lock; the thread that takes dead letters from the queue holds it. While an action
            holds it, what was seen stays.
    """

    def __init__(self, taking: threading.Lock) -> None:
        self._taking = taking
        self.seen = SeenLetters()
        self._looked_at = float("-inf")
        self._number = -1

    def look(self, admin: Administration, now: float) -> SeenLetters:
        """The dead letters, looked at again if that is due.

        Args:
            now: a monotonic clock, in seconds.
        """
        waited = now - self._looked_at
        if waited >= _SOON:
            depth = admin.depth(DEAD)
            number = depth.ready if depth else 0
            changed = waited >= _LATE or number != self._number
            if changed and self._taking.acquire(blocking=False):
                try:
                    self.seen = _read(admin)
                finally:
                    self._taking.release()
                self._looked_at = now
                # While they are on their way back, the depth leaves them out.
                self._number = number if self.seen.cut else len(self.seen.letters)
        return self.seen

    def forget(self) -> None:
        """Look again the next time, as after a lost connection."""
        self._looked_at, self._number = float("-inf"), -1


def _read(admin: Administration) -> SeenLetters:
    box, found, size = Box(admin), [], 0
    looking = box.look(most=_MOST)
    for letter, delivery in looking:
        headers, by_client = headers_of(delivery.properties), letter_by_client(letter, delivery)
        found.append(SeenLetter(letter, headers, delivery.body[:KEPT], by_client))
        size += letter.size
        if size > _MOST_BYTES:
            # Closing gives all of them back.
            looking.close()
            break
    return SeenLetters(datetime.now(UTC), found, box.cut or size > _MOST_BYTES)
