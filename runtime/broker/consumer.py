"""Consume with a limit on the bytes that one process holds. The caller decides when to settle.

| a consumer is | when | and becomes |
|---|---|---|
| reading | more than `HELD_LIMIT` bytes of bodies are held | paused, and its prefetch halved |
| paused | less than `HELD_AGAIN` are held | reading |

Messages are safer in the broker than in a process.
"""

import time
from collections.abc import Sequence

from runtime.broker.events import Delivery, Measured, Nothing
from runtime.broker.session import Session, bounded

#: Bytes of held bodies at which a consumer stops reading, and at which it starts again.
HELD_LIMIT, HELD_AGAIN = 64 * 1024 * 1024, 32 * 1024 * 1024
#: Seconds without work until `empty` is true, and seconds between two measurements of the queues.
_EMPTY_FOR, _MEASURE_EVERY = 1.0, 0.25


class Consumer:
    """Takes deliveries of queues on a session, which the caller closes. For one thread.

    Args:
        session: to consume on. Delivery tags and this consumer are valid only with this session.
        queues: their names.
        prefetch: unsettled deliveries of each queue, `bounded`.

    Attributes:
        session: the same.
        prefetch: the current value, which flow control may have lowered.
        held_bytes: bytes of the held bodies.
    """

    def __init__(self, session: Session, queues: Sequence[str], *, prefetch: int) -> None:
        self.session = session
        self._queues = queues
        # The number that the broker will really deliver, or `saturated` could stay false.
        self.prefetch = bounded(prefetch)
        self.held_bytes = 0
        # Tag -> bytes of the body.
        self._held: dict[int, int] = {}
        self._paused = False
        self._started = False
        self._ready: dict[str, int] = {}
        self._busy_at = self._measured_at = time.monotonic()

    def __len__(self) -> int:
        """Deliveries that are held."""
        return len(self._held)

    def __contains__(self, tag: int) -> bool:
        """Whether a delivery is held."""
        return tag in self._held

    @property
    def saturated(self) -> bool:
        """Whether no delivery can come until one is released."""
        return self._paused or len(self._held) >= self.prefetch

    def start(self) -> None:
        """Ask for deliveries of all queues."""
        self._paused, self._started = False, True
        for queue in self._queues:
            self.session.consume(queue, prefetch=self.prefetch)

    def cover(self, queues: Sequence[str]) -> None:
        """Consume these queues too, which may be known already."""
        new = [queue for queue in queues if queue not in self._queues]
        self._queues = queues
        if self._started and not self._paused:
            for queue in new:
                self.session.consume(queue, prefetch=self.prefetch)

    def poll(self, timeout: float) -> list[Delivery | Nothing]:
        """Return the deliveries that came.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Deliveries, held from here on until they are released, and answers to `Session.fetch`.

        Raises:
            BrokerUnavailable: the session is lost, and the deliveries it held are void.
            PermissionMissing: the same, because the user may not read there.
        """
        came: list[Delivery | Nothing] = []
        for event in self.session.poll(timeout):
            if isinstance(event, Delivery):
                self._held[event.tag] = len(event.body)
                self.held_bytes += len(event.body)
                came.append(event)
            elif isinstance(event, Measured):
                self._ready[event.queue] = event.ready
            elif isinstance(event, Nothing):
                came.append(event)
        return came

    def release(self, tag: int) -> None:
        """Stop counting a delivery as held; the caller settles it."""
        self.held_bytes -= self._held.pop(tag)

    def control(self) -> bool:
        """Pause or resume reading, as the table says; return whether it paused just now."""
        if not self._paused and self.held_bytes > HELD_LIMIT:
            self.session.cancel()
            self._paused = True
            # Large bodies: hold fewer of them from now on.
            self.prefetch = max(1, min(self.prefetch, len(self._held) // 2))
            return True
        if self._paused and self.held_bytes < HELD_AGAIN:
            self.start()
        return False

    def empty(self) -> bool:
        """Whether the queues were empty and no delivery was held for a second.

        It measures the queues every 0.25 s; call it as often as `poll`.
        """
        now = time.monotonic()
        if self._held or any(self._ready.get(queue, 1) for queue in self._queues):
            self._busy_at = now
        if now - self._measured_at > _MEASURE_EVERY:
            self._measured_at = now
            for queue in self._queues:
                self.session.measure(queue)
        return now - self._busy_at >= _EMPTY_FOR
