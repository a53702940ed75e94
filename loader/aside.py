"""What cannot be loaded for now is set aside, so that it holds up nothing else, and tried seldom.

A right that is missing, a trigger that raises for one client, a full tablespace: no waiting ends
such a cause, and nothing says when an operator does. Its deliveries stay unsettled meanwhile.
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

#: Seconds until the second try, and at most between two: a cause that was mended shows soon.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: Who has the trouble, in the words of `statesys health`.
_WHO = "what was set aside"


class Part(NamedTuple):
    """A chunk, or what is left of it.

    Attributes:
        deliveries: those it was taken with.
        number: which of their chunks, as `loader.chunk.divide` counts them.
        items: what is left; None is all of it.
        why: what PostgreSQL says about it.
        tries: how often it was tried after it had been set aside.
        loads: transactions of all threads before it was set aside.
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
    """Parts that wait. Thread-safe.

    One thread at a time is at one of them: a try may wait a minute for a lock.

    Args:
        heartbeat: hears of the trouble and of its end.
    """

    def __init__(self, heartbeat: HeartbeatFile) -> None:
        self._heartbeat = heartbeat
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, Part]] = []
        self._busy: Part | None = None
        self._session = 0
        self._loads = 0
        #: Causes that the log has been told.
        self._told: set[str] = set()

    def see(self, session: int) -> None:
        """A delivery of this session has come: what was held of earlier ones comes again."""
        with self._lock:
            if session <= self._session:
                return
            self._session = session
            self._waiting.clear()
        self._tell()

    def put(self, parts: Iterable[Part]) -> None:
        """Set parts aside."""
        with self._lock:
            self._put(parts)
        self._tell()

    def take(self) -> Part | None:
        """A part to try again, if one is due and nobody is at another; `give_back` it."""
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
        """A part was tried again; what is left of it waits longer.

        Where nothing is left, a cause is gone, and perhaps that of others too.
        """
        left = list(left)
        with self._lock:
            self._busy = None
            if left:
                self._put(left)
            else:
                self._waiting = [(0.0, part) for _, part in self._waiting]
        self._tell()

    def without(self, taken: Sequence[Held]) -> list[Held]:
        """The deliveries of which no part waits."""
        with self._lock:
            waiting = self._keys()
        return [held for held in taken if _key(held) not in waiting]

    def loaded(self) -> None:
        """A thread has loaded something."""
        with self._lock:
            self._loads += 1

    def others_loaded(self, part: Part) -> bool:
        """Whether something was loaded since a part was set aside."""
        with self._lock:
            return bool(part.tries) and self._loads > part.loads

    def pause(self) -> float:
        """Seconds until a part is due, at most one: it may be set aside meanwhile."""
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

    def _tell(self) -> None:
        """Health hears of it each time, the log once of each cause."""
        with self._lock:
            causes = list(dict.fromkeys(part.why for part in self._parts()))
            new = [why for why in causes if why not in self._told]
            self._told.update(new)
            emptied = bool(self._told) and not causes
            if emptied:
                self._told.clear()
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
            self._heartbeat.settle(_WHO)
            _log.info("loader.set_aside_ended")
