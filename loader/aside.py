"""Keeps what cannot be loaded for now, so that it does not delay the rest, and tries it again.

Causes are, for example, a missing right, a trigger that raises for one client, or a full
tablespace. They last until an operator acts. Meanwhile the deliveries stay unsettled.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import structlog

from loader.chunk import Item
from loader.inbox import Held
from runtime.workers import HeartbeatFile

_log = structlog.get_logger()

#: Seconds until the first retry. The pause doubles up to the longest, which is short enough to
#: notice soon that a cause was removed.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: The name under which `statesys health` shows the trouble.
_WHO = "what was set aside"


class Part(NamedTuple):
    """A chunk, or what is left of it.

    Attributes:
        deliveries: the deliveries that were taken together with it.
        number: index of the chunk among those that `loader.chunk.divide` makes of them.
        items: what is left of the chunk; None if all of it.
        why: PostgreSQL's error.
        tries: number of tries since it was first set aside.
        loads: number of transactions of all threads when it was last set aside.
    """

    deliveries: tuple[Held, ...]
    number: int
    items: Sequence[Item] | None = None
    why: str = ""
    tries: int = 0
    loads: int = 0


def _key(held: Held) -> tuple[int, int]:
    return held.session, held.delivery.tag


class Aside:
    """The parts that are set aside. Thread-safe.

    Only one thread at a time retries a part, because a try may wait a minute for a lock.

    Args:
        heartbeat: receives the trouble and its end.
    """

    def __init__(self, heartbeat: HeartbeatFile) -> None:
        self._heartbeat = heartbeat
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, Part]] = []
        self._busy: Part | None = None
        self._session = 0
        self._loads = 0
        # Causes that were logged.
        self._logged: set[str] = set()

    def see(self, session: int) -> None:
        """Note a delivery's session; drop parts of earlier ones, which the broker redelivers."""
        with self._lock:
            if session <= self._session:
                return
            self._session = session
            self._waiting.clear()
        self._report()

    def put(self, parts: Iterable[Part]) -> None:
        """Set parts aside."""
        with self._lock:
            self._put(parts)
        self._report()

    def take(self) -> Part | None:
        """Return a part to try again, or None if none is due or another one is being tried.

        Call `give_back` after the try.
        """
        with self._lock:
            if self._busy is not None or not self._waiting:
                return None
            first = min(self._waiting, key=lambda one: one[0])
            if first[0] > time.monotonic():
                return None
            self._waiting.remove(first)
            self._busy = first[1]._replace(tries=first[1].tries + 1)
            return self._busy

    def give_back(self, left: Iterable[Part]) -> None:
        """End the try of a part.

        If nothing is left, its cause is gone, and perhaps that of other parts; so all are due.

        Args:
            left: what still cannot be loaded; it waits longer than before.
        """
        left = list(left)
        with self._lock:
            self._busy = None
            if left:
                self._put(left)
            else:
                self._waiting = [(0.0, part) for _, part in self._waiting]
        self._report()

    def without(self, taken: Sequence[Held]) -> list[Held]:
        """Return the deliveries of which nothing is set aside."""
        with self._lock:
            waiting = self._keys()
        return [held for held in taken if _key(held) not in waiting]

    def loaded(self) -> None:
        """Count a transaction that loaded rows."""
        with self._lock:
            self._loads += 1

    def others_loaded(self, part: Part) -> bool:
        """Whether a part is retried and other rows were loaded since it was last set aside."""
        with self._lock:
            return bool(part.tries) and self._loads > part.loads

    def pause(self) -> float:
        """Return the seconds until a part is due.

        At most one second, since another thread may set a part aside meanwhile.
        """
        with self._lock:
            if self._busy is not None or not self._waiting:
                return 1.0
            due = min(at for at, _ in self._waiting)
            return min(max(0.0, due - time.monotonic()), 1.0)

    def _put(self, parts: Iterable[Part]) -> None:
        now = time.monotonic()
        for part in parts:
            if part.deliveries[0].session == self._session:
                pause = min(FIRST_PAUSE * 2 ** min(part.tries, 10), LONGEST_PAUSE)
                self._waiting.append((now + pause, part._replace(loads=self._loads)))

    def _keys(self) -> set[tuple[int, int]]:
        return {_key(held) for part in self._parts() for held in part.deliveries}

    def _parts(self) -> list[Part]:
        busy = [] if self._busy is None else [self._busy]
        return [*busy, *(part for _, part in self._waiting)]

    def _report(self) -> None:
        """Report the causes to the heartbeat file, and log each new one once."""
        with self._lock:
            causes = list(dict.fromkeys(part.why for part in self._parts()))
            new = [why for why in causes if why not in self._logged]
            self._logged.update(new)
            emptied = bool(self._logged) and not causes
            if emptied:
                self._logged.clear()
            batches = len(self._keys())
        for why in new:
            _log.warning("loader.batch_set_aside", why=why)
        if causes:
            more = f" (other causes: {len(causes) - 1})" if len(causes) > 1 else ""
            self._heartbeat.trouble(
                _WHO,
                f"{causes[0]}{more}; batches that wait for it to be mended: {batches}, each tried "
                "again once a minute",
            )
        elif emptied:
            self._heartbeat.clear(_WHO)
            _log.info("loader.set_aside_ended")
