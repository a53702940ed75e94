"""Who breaks what next: sites that live side by side take turns at the kinds of faults."""

import threading
from collections.abc import Sequence
from random import Random

from tests.chaos.faults import DISK, LONG


class Schedule:
    """Every kind comes before one comes again. For several threads.

    Args:
        names: of the faults.
        chance: decides their order.
    """

    def __init__(self, names: Sequence[str], rng: Random) -> None:
        self._names = names
        self._rng = rng
        # The long ones at once, so that a short soak has them all.
        self._waiting = sorted(self._round(), key=lambda name: name not in {**LONG, **DISK})
        self._lock = threading.Lock()

    def next(self, *, small_disks: bool) -> str | None:
        """The next fault for a site; None when none of the kinds is for it.

        Args:
            small_disks: whether the site has them.
        """

        def fits(name: str) -> bool:
            return small_disks or name not in DISK

        if not any(map(fits, self._names)):
            return None
        with self._lock:
            while not any(map(fits, self._waiting)):
                self._waiting += [n for n in self._round() if n not in self._waiting]
            name = next(filter(fits, self._waiting))
            self._waiting.remove(name)
            return name

    def _round(self) -> list[str]:
        return self._rng.sample(self._names, len(self._names))
