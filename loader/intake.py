"""The intake: what stands between the broker and the loader threads.

It owns the consuming session, fills the inbox and settles what the threads have finished. It
never publishes: memory and disk alarms stop connections that do, and a loader under alarm should
go on emptying queues.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress

import structlog

from loader.inbox import Held, Inbox
from runtime.broker import Delivery, Measured, Nothing, Session
from runtime.broker.session import HELD_AGAIN, HELD_LIMIT, MAX_PREFETCH, MIN_PREFETCH
from schemas.errors import BrokerUnavailable, PermissionMissing

_log = structlog.get_logger()

#: Seconds between two questions for a queue's depth, and of nothing to do before "empty" counts.
_MEASURE_EVERY, _EMPTY_FOR = 0.25, 1.0
#: Seconds of one poll; also how late a stop is noticed.
_POLL = 0.1


class Intake:
    """Consumes for one loader process.

    Args:
        url: of the broker.
        queues: to consume, the most urgent first.
        inbox: where deliveries go.
        prefetch: unsettled deliveries of each queue.
    """

    def __init__(self, url: str, *, queues: Sequence[str], inbox: Inbox, prefetch: int) -> None:
        self._url = url
        self._queues = queues
        self._inbox = inbox
        # What the broker will really give, or "full" would never be seen.
        self._prefetch = min(max(prefetch, MIN_PREFETCH), MAX_PREFETCH)
        self._number = 0
        self._session: Session | None = None
        self._finished: deque[Held] = deque()
        self._trusted: deque[Held] = deque()
        # Unsettled deliveries of the current session: tag -> bytes of the body.
        self._held: dict[int, int] = {}
        self._held_bytes = 0
        # Those of them that may be beside a suspect.
        self._harmless: set[int] = set()
        # While care is taken: the queues that this round has not asked yet.
        self._round: Iterator[str] | None = None
        self._fetching = False
        self._paused = False
        self._ready: dict[str, int] = {}
        self._busy_at = self._measured_at = time.monotonic()

    def settle(self, chunk: Sequence[Held]) -> None:
        """Note deliveries as done; the intake's own thread acks them. Called by any thread."""
        self._finished.extend(chunk)
        session = self._session
        if session is not None:
            # The session may be closed this very moment; its tags then mean nothing any more.
            with suppress(OSError, AttributeError):
                session.wake()

    def trust(self, held: Held) -> None:
        """Note that nobody died of a delivery, though it may be long until it is settled.

        Its letter waits while the broker takes none, which may be until the queues are shorter.
        Called by any thread.
        """
        self._trusted.append(held)

    def connect(self) -> None:
        """Begin a session; what another one held is void.

        Raises:
            BrokerUnavailable: no connection.
        """
        self.close()
        self._session = Session(self._url, name="statesys loader")
        self._number += 1
        self._round, self._fetching = iter(self._queues), False
        # What was measured before says nothing of the queues now.
        self._ready.clear()
        self._busy_at = time.monotonic()

    def turn(self) -> None:
        """One round: take what came, give back what is done.

        Raises:
            BrokerUnavailable: the session is lost; `connect` begins the next.
        """
        session = self._session
        assert session is not None
        for event in session.poll(_POLL):
            if isinstance(event, Delivery):
                self._take(event)
            elif isinstance(event, Nothing):
                self._fetching = False
            elif isinstance(event, Measured):
                self._ready[event.queue] = event.ready
        self._ack(session)
        if self._round is None:
            self._govern(session)
        else:
            self._take_care(session, self._round)

    def stop_taking(self) -> None:
        """Ask for no more deliveries."""
        if self._session is not None:
            # Nothing comes from a lost session either.
            with suppress(BrokerUnavailable, PermissionMissing):
                self._session.cancel()

    def finish(self) -> None:
        """Settle what the threads finished last."""
        if self._session is not None:
            # What is not acked comes again, and counts as duplicates.
            with suppress(BrokerUnavailable, PermissionMissing):
                self._ack(self._session)

    def close(self) -> None:
        """End the session; the broker takes back what is unsettled."""
        self._inbox.drop()
        self._held.clear()
        self._held_bytes = 0
        self._finished.clear()
        self._trusted.clear()
        self._harmless.clear()
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def empty(self) -> bool:
        """Whether there has been nothing to do for a second, in the queues and in hand."""
        return time.monotonic() - self._busy_at >= _EMPTY_FOR

    @property
    def held(self) -> int:
        """Deliveries that are not settled yet."""
        return len(self._held)

    def measure(self) -> None:
        """Ask for the depths that `empty` rests on, now and then."""
        now = time.monotonic()
        if self._held or any(self._ready.get(queue, 1) for queue in self._queues):
            self._busy_at = now
        if self._session is not None and now - self._measured_at > _MEASURE_EVERY:
            self._measured_at = now
            for queue in self._queues:
                self._session.measure(queue)

    def _take(self, delivery: Delivery) -> None:
        self._held[delivery.tag] = len(delivery.body)
        self._held_bytes += len(delivery.body)
        self._inbox.put(Held(self._number, time.monotonic(), delivery))
        if self._round is not None:
            self._fetching = False
            if delivery.redelivered:
                # A suspect; where it came from there may be more, and above all of the urgent.
                self._round = iter(self._queues)

    def _ack(self, session: Session) -> None:
        while self._finished:
            held = self._finished.popleft()
            if held.session == self._number and held.delivery.tag in self._held:
                self._held_bytes -= self._held.pop(held.delivery.tag)
                self._harmless.discard(held.delivery.tag)
                session.ack(held.delivery.tag)

    def _take_care(self, session: Session, unasked: Iterator[str]) -> None:
        """Hold one delivery at a time, of all queues, until a round brings no suspect.

        A worker that died on a batch finds it again after its start, and with it whatever else it
        had in hand. Each death counts against all that is in hand, so nothing may be beside a
        suspect: a batch that kills again and again then uses up its own delivery limit alone.

        A round asks each queue once, the most urgent first. The broker hands out what came back
        before what is fresh: a queue that gives a fresh batch, or nothing, has no suspects left.
        Each suspect begins a new round. So the suspects of an urgent queue go first, what is
        fresh there waits for one suspect of the others at most, and no queue waits for ever.
        """
        self._inbox.hurry(on=True)
        while self._trusted:
            held = self._trusted.popleft()
            if held.session == self._number and held.delivery.tag in self._held:
                self._harmless.add(held.delivery.tag)
        if self._fetching or len(self._held) > len(self._harmless):
            return
        queue = next(unasked, None)
        if queue is None:
            self._round = None
            self._go_on(session)
        else:
            self._fetching = True
            session.fetch(queue)

    def _go_on(self, session: Session) -> None:
        self._paused = False
        for queue in self._queues:
            session.consume(queue, prefetch=self._prefetch)

    def _govern(self, session: Session) -> None:
        """Stop reading above 64 MiB; and do not wait for more when no more can come."""
        if not self._paused and self._held_bytes > HELD_LIMIT:
            session.cancel()
            self._paused = True
            # Large bodies: hold fewer of them from now on.
            self._prefetch = max(1, min(self._prefetch, len(self._held) // 2))
            _log.warning("loader.paused", held_bytes=self._held_bytes, prefetch=self._prefetch)
        elif self._paused and self._held_bytes < HELD_AGAIN:
            self._go_on(session)
        saturated = self._paused or len(self._held) >= self._prefetch
        self._inbox.hurry(on=saturated)
