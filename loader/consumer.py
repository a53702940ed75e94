"""Consumes batches for the loader threads: fills the inbox, and acks what they have finished.

It never publishes, because memory and disk alarms stop connections that publish, and a loader
should go on emptying the queues during an alarm.
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

#: Seconds of one poll; also the longest delay until a stop is noticed.
_POLL = 0.1


class BatchConsumer:
    """Consumes for one loader process. Of one thread, except `settle` and `trust`.

    Args:
        url: URL of the broker.
        queues: names of the queues to consume, the most urgent first.
        inbox: receives the deliveries.
        prefetch: maximum number of unsettled deliveries for each queue.
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
        # Tags of unsettled deliveries that were read without a crash.
        self._harmless: set[int] = set()
        # While one batch is taken at a time (see `_take_singly`): the queues that are left in this
        # round. None afterwards.
        self._round: Iterator[str] | None = None
        self._fetching = False

    def cover(self, queues: Sequence[str]) -> None:
        """Consume these queues, the most urgent first; all known ones are among them."""
        self._queues = queues
        self._inbox.cover(queues)
        if self._consumer is not None:
            self._consumer.cover(queues)

    def settle(self, chunk: Sequence[Held]) -> None:
        """Note finished deliveries, which the consumer's own thread acks. Thread-safe."""
        self._finished.extend(chunk)
        consumer = self._consumer
        if consumer is not None:
            # The session may close meanwhile; then there is nothing left to ack.
            with suppress(OSError, AttributeError):
                consumer.session.wake()

    def trust(self, held: Held) -> None:
        """Note that a delivery was read without a crash, and may stay unsettled for long.

        It was set aside, or waits for its dead letter, which the broker may refuse until the queues
        are shorter. Thread-safe.
        """
        self._trusted.append(held)

    def connect(self) -> str:
        """Close the current session, if any, and open a new one.

        Returns:
            Host and port of the broker.

        Raises:
            BrokerUnavailable: the broker cannot be reached.
        """
        self.close()
        session = Session(self._url, name="statesys loader")
        self._consumer = Consumer(session, self._queues, prefetch=self._prefetch)
        self._number += 1
        self._round, self._fetching = iter(self._queues), False
        return session.where

    def step(self) -> None:
        """Poll once: put deliveries into the inbox and ack finished ones.

        Raises:
            BrokerUnavailable: the session is lost; call `connect` for a new one.
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
            self._take_singly(consumer, self._round)

    def stop_taking(self) -> None:
        """Stop consuming; nothing new is delivered."""
        if self._consumer is not None:
            # A lost session delivers nothing either.
            with suppress(BrokerUnavailable, PermissionMissing):
                self._consumer.session.cancel()

    def finish(self) -> None:
        """Ack what the threads have finished since the last `step`."""
        if self._consumer is not None:
            # What stays unacked is redelivered, and its messages count as duplicates.
            with suppress(BrokerUnavailable, PermissionMissing):
                self._ack(self._consumer)

    def close(self) -> None:
        """Close the session; the broker requeues unsettled deliveries."""
        self._inbox.drop()
        self._finished.clear()
        self._trusted.clear()
        self._harmless.clear()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            # Keep a reduced prefetch, since bodies are as large on the next session.
            self._prefetch = consumer.prefetch
            consumer.session.close()

    def empty(self) -> bool:
        """Whether the queues were empty and no delivery was held for a second."""
        return self._consumer is not None and self._consumer.empty()

    @property
    def held(self) -> int:
        """Number of unsettled deliveries."""
        return 0 if self._consumer is None else len(self._consumer)

    def _take(self, delivery: Delivery) -> None:
        self._inbox.put(Held(self._number, time.monotonic(), delivery))
        if self._round is not None:
            self._fetching = False
            if delivery.redelivered:
                # A suspect: its queue may have more, and those of urgent queues come first.
                self._round = iter(self._queues)

    def _ack(self, consumer: Consumer) -> None:
        while self._finished:
            held = self._finished.popleft()
            if self._holds(consumer, held):
                consumer.release(held.delivery.tag)
                self._harmless.discard(held.delivery.tag)
                consumer.session.ack(held.delivery.tag)

    def _holds(self, consumer: Consumer, held: Held) -> bool:
        """Whether a delivery belongs to the current session and is unsettled."""
        return held.session == self._number and held.delivery.tag in consumer

    def _take_singly(self, consumer: Consumer, unasked: Iterator[str]) -> None:
        """Hold one delivery at a time, over all queues, until a round has found no suspect.

        A loader that a batch has killed gets that batch again after its start, together with the
        other batches it held. Each crash counts towards the delivery limit of every batch held.
        With one batch at a time, a batch that kills repeatedly uses up only its own limit. Batches
        noted with `trust` do not count as held here.

        A round fetches from each queue once, the most urgent first. RabbitMQ delivers requeued
        batches before fresh ones, so a queue that returns a fresh batch, or none, has no suspects
        left. Each suspect starts a new round. So suspects of an urgent queue come first, and a
        fresh batch in an urgent queue waits for at most one suspect of the others.
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
        """Apply the consumer's limits; load incomplete chunks when no more can be delivered."""
        if consumer.control():
            _log.warning(
                "loader.paused", held_bytes=consumer.held_bytes, prefetch=consumer.prefetch
            )
        self._inbox.hurry(on=consumer.saturated)
