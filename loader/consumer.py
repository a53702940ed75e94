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
from runtime.broker import Consumer, Delivery, Nothing, Session
from schemas.errors import BrokerUnavailable, PermissionMissing

_log = structlog.get_logger()

#: Seconds of one poll; also how late a stop is noticed.
_POLL = 0.1


class BatchConsumer:
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
        self._prefetch = prefetch
        self._number = 0
        # None while there is no connection.
        self._consumer: Consumer | None = None
        self._finished: deque[Held] = deque()
        self._trusted: deque[Held] = deque()
        # Held deliveries that may be beside a suspect, by tag.
        self._harmless: set[int] = set()
        # While care is taken: the queues that this round has not asked yet.
        self._round: Iterator[str] | None = None
        self._fetching = False

    def settle(self, chunk: Sequence[Held]) -> None:
        """Note deliveries as done; the intake's own thread acks them. Called by any thread."""
        self._finished.extend(chunk)
        consumer = self._consumer
        if consumer is not None:
            # The session may be closed this very moment; its tags then mean nothing any more.
            with suppress(OSError, AttributeError):
                consumer.session.wake()

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
        session = Session(self._url, name="statesys loader")
        self._consumer = Consumer(session, self._queues, prefetch=self._prefetch)
        self._number += 1
        self._round, self._fetching = iter(self._queues), False

    def turn(self) -> None:
        """One round: take what came, give back what is done.

        Raises:
            BrokerUnavailable: the session is lost; `connect` begins the next.
        """
        consumer = self._consumer
        assert consumer is not None
        for event in consumer.poll(_POLL):
            if isinstance(event, Delivery):
                self._take(event)
            elif isinstance(event, Nothing):
                self._fetching = False
        self._ack(consumer)
        if self._round is None:
            self._control(consumer)
        else:
            self._take_care(consumer, self._round)

    def stop_taking(self) -> None:
        """Ask for no more deliveries."""
        if self._consumer is not None:
            # Nothing comes from a lost session either.
            with suppress(BrokerUnavailable, PermissionMissing):
                self._consumer.session.cancel()

    def finish(self) -> None:
        """Settle what the threads finished last."""
        if self._consumer is not None:
            # What is not acked comes again, and counts as duplicates.
            with suppress(BrokerUnavailable, PermissionMissing):
                self._ack(self._consumer)

    def close(self) -> None:
        """End the session; the broker takes back what is unsettled."""
        self._inbox.drop()
        self._finished.clear()
        self._trusted.clear()
        self._harmless.clear()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            # Bodies are as large on the next session.
            self._prefetch = consumer.prefetch
            consumer.session.close()

    def empty(self) -> bool:
        """Whether there has been nothing to do for a second, in the queues and in hand."""
        return self._consumer is not None and self._consumer.empty()

    @property
    def held(self) -> int:
        """Deliveries that are not settled yet."""
        return 0 if self._consumer is None else len(self._consumer)

    def _take(self, delivery: Delivery) -> None:
        self._inbox.put(Held(self._number, time.monotonic(), delivery))
        if self._round is not None:
            self._fetching = False
            if delivery.redelivered:
                # A suspect; where it came from there may be more, and above all of the urgent.
                self._round = iter(self._queues)

    def _ack(self, consumer: Consumer) -> None:
        while self._finished:
            held = self._finished.popleft()
            if self._holds(consumer, held):
                consumer.release(held.delivery.tag)
                self._harmless.discard(held.delivery.tag)
                consumer.session.ack(held.delivery.tag)

    def _holds(self, consumer: Consumer, held: Held) -> bool:
        """Whether a delivery is of this session, and not settled yet."""
        return held.session == self._number and held.delivery.tag in consumer

    def _take_care(self, consumer: Consumer, unasked: Iterator[str]) -> None:
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
            if self._holds(consumer, held):
                self._harmless.add(held.delivery.tag)
        if self._fetching or len(consumer) > len(self._harmless):
            return
        queue = next(unasked, None)
        if queue is None:
            self._round = None
            consumer.start()
        else:
            self._fetching = True
            consumer.session.fetch(queue)

    def _control(self, consumer: Consumer) -> None:
        """Keep within what may be held; and do not wait for more when no more can come."""
        if consumer.control():
            _log.warning(
                "loader.paused", held_bytes=consumer.held_bytes, prefetch=consumer.prefetch
            )
        self._inbox.hurry(on=consumer.saturated)
