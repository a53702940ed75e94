"""The inbox: keeps deliveries until a loader thread takes a chunk of them.

The threads pull, so the order is decided as late as possible: high comes before normal before low,
even if normal batches have waited longer.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from runtime.broker import Delivery


class Held(NamedTuple):
    """A delivery with the number of its session, since a tag is valid in its own session only.

    Attributes:
        session: number of the session.
        arrived: seconds, monotonic.
        delivery: the delivery.
    """

    session: int
    arrived: float
    delivery: Delivery


class Inbox:
    """Deliveries by queue, in order of priority. Thread-safe.

    Args:
        queues: names, the most urgent first.
        chunk_bytes: a chunk is whole batches up to this size, at least one.
        wait: seconds after which `take` returns an incomplete chunk.
        together: maximum number of chunks that one thread takes as one under backlog. Each
            transaction has a fixed cost, so larger ones load faster.
    """

    def __init__(
        self, queues: Iterable[str], *, chunk_bytes: int, wait: float, together: int
    ) -> None:
        self._lanes: dict[str, deque[Held]] = {queue: deque() for queue in queues}
        self._chunk_bytes = chunk_bytes
        self._wait = wait
        self._together = together
        self._bytes = 0
        self._hurry = False
        self._closed = False
        self._change = threading.Condition()

    def cover(self, queues: Iterable[str]) -> None:
        """Take deliveries of these queues, the most urgent first; all known ones are among them."""
        with self._change:
            self._lanes = {queue: self._lanes.get(queue, deque()) for queue in queues}

    def put(self, held: Held) -> None:
        """Add a delivery."""
        with self._change:
            self._lanes[held.delivery.queue].append(held)
            self._bytes += len(held.delivery.body)
            self._change.notify()

    def hurry(self, *, on: bool) -> None:
        """Whether `take` returns incomplete chunks at once, because no more deliveries can come."""
        with self._change:
            self._hurry = on
            if on:
                self._change.notify_all()

    def take(self, patience: float = threading.TIMEOUT_MAX) -> list[Held]:
        """Wait for a chunk and take it.

        Args:
            patience: maximum seconds to wait.

        Returns:
            The deliveries of the chunk; empty after `patience` seconds, and when closed.
        """
        until = time.monotonic() + patience
        with self._change:
            while not self._closed:
                now = time.monotonic()
                left = until - now
                oldest = min(
                    (lane[0].arrived for lane in self._lanes.values() if lane), default=None
                )
                if oldest is not None:
                    whole = oldest + self._wait - now
                    if whole <= 0 or self._hurry or self._bytes >= self._chunk_bytes:
                        return self._cut()
                    left = min(left, whole)
                if until <= now:
                    break
                self._change.wait(min(left, threading.TIMEOUT_MAX))
            return []

    def drop(self) -> None:
        """Remove all deliveries, because their session is lost."""
        with self._change:
            for lane in self._lanes.values():
                lane.clear()
            self._bytes = 0

    def close(self) -> None:
        """Make every `take` return empty; the broker requeues the rest when the session ends."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _cut(self) -> list[Held]:
        chunk: list[Held] = []
        size, limit = 0, self._limit()
        for lane in self._lanes.values():
            while lane and (not chunk or self._fits(lane[0], size, limit)):
                held = lane.popleft()
                size += len(held.delivery.body)
                chunk.append(held)
                if held.delivery.redelivered:
                    # It is loaded alone, because it may have killed a loader.
                    limit = 0
            if lane:
                break
        self._bytes -= size
        if any(self._lanes.values()):
            # Our wake-up may have been the one for these: wake another thread.
            self._change.notify()
        return chunk

    def _limit(self) -> int:
        """Bytes to take: one chunk, or up to `together` if at least one more stays behind them."""
        waiting = self._bytes // self._chunk_bytes
        return self._chunk_bytes * min(self._together, max(1, waiting - 1))

    def _fits(self, held: Held, size: int, limit: int) -> bool:
        return not held.delivery.redelivered and size + len(held.delivery.body) <= limit
