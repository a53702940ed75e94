"""The order of faults, shared by sites that run side by side."""

import threading
from collections.abc import Sequence
from random import Random

from tests.chaos.faults import DISK, LONG


class Schedule:
    """Hands out faults; every kind comes once before one repeats. Thread-safe.

    Args:
        names: of the faults.
        chance: random generator for their order.
    """

    def __init__(self, names: Sequence[str], rng: Random) -> None:
        self._names = names
        self._rng = rng
        # The long ones first, so that a short soak has them all.
        self._waiting = sorted(self._round(), key=lambda name: name not in {**LONG, **DISK})
        self._lock = threading.Lock()

    def next(self, *, small_disks: bool) -> str | None:
        """Return the next fault for a site; None when no kind fits the site.

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
