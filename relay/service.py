"""A relay process: reports in, batches out, and an ack only after the confirm.

One thread at a time, two sessions. Memory and disk alarms stop connections that publish, and a
stopped connection would not hear that the broker takes the consumed reports back.
"""

import os
import socket
import threading
import time
from contextlib import closing
from datetime import UTC, datetime

import structlog

from relay.batcher import Batcher, Closed
from relay.outgoing import Outgoing, of_batch, of_refused
from relay.settling import Settling
from relay.validate import accept
from runtime.broker import (
    MAX_PREFETCH,
    ConfirmingPublisher,
    Consumer,
    Delivery,
    Message,
    PublishOutcome,
    Retry,
    Session,
    declare,
    require_write,
)
from runtime.settings import Settings
from runtime.workers import HeartbeatFile
from runtime.workers.renewal import RENEW_AFTER, run_until_renewal
from runtime.workers.retry import until_available
from schemas.errors import BrokerUnavailable, Refused
from schemas.topology import QUEUES, REPORTS

_log = structlog.get_logger()
_KIB = 1024
#: Seconds of one poll when nothing is waiting; also how late a stop is noticed.
_POLL = 0.1
#: Seconds of one poll while confirms are awaited, which come on another session.
_POLL_FOR_CONFIRMS = 0.002
#: Seconds before what the broker did not take is published again.
_AGAIN_AFTER = 1.0
#: Settled deliveries that may wait behind one that cannot be sent.
_FEW = 100
#: Seconds that confirms of the last batches get when stopping.
_FINISH_TIMEOUT = 30.0


class Relay:
    """One relay process.

    Args:
        settings: read once at the top.
        stop: set to end; the batch in hand is finished first.
    """

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._url = settings.required_amqp_url()
        self._name = f"{socket.gethostname()}/{os.getpid()}"
        self._heartbeat = HeartbeatFile(settings.home, "relay")

    def run(self, *, exit_when_empty: bool = False) -> None:
        """Relay until stopped, or until nothing has been left for a second.

        Raises:
            BrokerUnavailable: the broker cannot be reached at the start; a wrong address is told
                at once. One that goes away later is waited for.
            PermissionMissing: the user lacks a permission, at the start or later.
            TopologyWrong: a queue or exchange is not what it must be; it is looked at before
                anything is taken, at the start and after a lost connection.
        """
        require_write(self._url, name="statesys relay")
        self._heartbeat.beat(held=0, now=True)
        try:
            until_available(self._stop, "relay", self._heartbeat)(self._connected, exit_when_empty)
        except BrokerUnavailable:
            # Only when stopping while the broker is away: what was held comes again.
            if not self._stop.is_set():
                raise
        finally:
            self._heartbeat.end()
        _log.info("relay.stopped")

    def _connected(self, exit_when_empty: bool) -> None:  # noqa: FBT001 (called by tenacity)
        self._declare()
        with (
            closing(Session(self._url, name="statesys relay publish")) as publishing,
            closing(Session(self._url, name="statesys relay consume")) as consuming,
        ):
            pipeline = _Pipeline(
                Consumer(consuming, [REPORTS], prefetch=MAX_PREFETCH),
                ConfirmingPublisher(
                    publishing,
                    retry=Retry(_AGAIN_AFTER, _AGAIN_AFTER),
                    # Somebody may have deleted the queue.
                    before_again=self._declare,
                ),
                name=self._name,
                settings=self._settings,
                heartbeat=self._heartbeat,
            )
            pipeline.run(self._stop, exit_when_empty=exit_when_empty)

    def _declare(self) -> None:
        self._heartbeat.note(declare(self._url, QUEUES, name="statesys relay"))


class _Pipeline:
    """Take, judge, batch, publish, confirm, ack: on one pair of sessions, and never longer.

    Args:
        consumer: brings the reports.
        publisher: of batches and dead letters.
        name: of the relay, written into the batches.
        settings: sizes and times.
        heartbeat: hears of progress.
    """

    def __init__(
        self,
        consumer: Consumer,
        publisher: ConfirmingPublisher,
        *,
        name: str,
        settings: Settings,
        heartbeat: HeartbeatFile,
    ) -> None:
        self._consumer = consumer
        self._publisher = publisher
        self._heartbeat = heartbeat
        self._max_bytes = settings.max_report_size * _KIB
        self._batcher = Batcher(
            name,
            max_bytes=settings.batch_size * _KIB,
            linger=settings.batch_linger.total_seconds(),
        )
        self._settling = Settling()
        # Bytes of reports that the current thread has read.
        self._read = 0

    def run(self, stop: threading.Event, *, exit_when_empty: bool) -> None:
        """Relay until stopped or until nothing is left, then finish what is in hand."""
        self._consumer.start()
        self._heartbeat.progress("relay")
        _log.info("relay.consuming", queue=REPORTS)
        while not run_until_renewal("relay", lambda: self._done(stop, exit_when_empty)):
            pass
        self._consumer.session.cancel()
        _log.info("relay.stopping")
        self._publish_all(self._batcher.close_all())
        for settled in self._publisher.await_outcomes(_FINISH_TIMEOUT):
            self._confirm(settled)
        self._ack_stragglers(0)
        # One more turn for the frames of the last acks.
        self._consumer.session.poll(0)

    def _done(self, stop: threading.Event, exit_when_empty: bool) -> bool:  # noqa: FBT001
        """Work until the thread has read enough (False), or for good (True)."""
        self._read = 0
        while self._read < RENEW_AFTER:
            if stop.is_set():
                return True
            self._turn()
            if exit_when_empty and self._consumer.empty():
                return True
        return False

    def _turn(self) -> None:
        for event in self._consumer.poll(self._patience()):
            if isinstance(event, Delivery):
                self._take(event)
        self._publish_all(self._batcher.overdue(time.monotonic()))
        for outcome in self._publisher.poll(0):
            if isinstance(outcome, PublishOutcome):
                self._confirm(outcome)
        if self._publisher.refused:
            self._ack_stragglers(_FEW)
        blocked = self._publisher.session.blocked
        if self._consumer.control():
            _log.warning("relay.paused", held_bytes=self._consumer.held_bytes, blocked=blocked)
        self._heartbeat.beat(held=len(self._consumer), blocked=blocked)

    def _patience(self) -> float:
        """Seconds to wait for reports: the publishing session must be looked at as well."""
        patience = _POLL_FOR_CONFIRMS if self._publisher.session.unconfirmed else _POLL
        overdue = self._batcher.wait(time.monotonic())
        return patience if overdue is None else min(patience, overdue)

    def _take(self, delivery: Delivery) -> None:
        """Judge a report; it joins a batch, or becomes a dead letter."""
        self._settling.took(delivery.tag)
        self._read += len(delivery.body)
        now = datetime.now(UTC)
        try:
            taken = accept(delivery, received_at=now, max_bytes=self._max_bytes)
        except Refused as refusal:
            self._publish(of_refused(delivery, refusal, now=now))
            return
        full = self._batcher.add(
            taken.lane,
            delivery.tag,
            taken.smx,
            taken.messages,
            time.monotonic(),
            canonical=taken.canonical,
        )
        if full is not None:
            self._publish(of_batch(full, now=now))

    def _publish_all(self, batches: list[Closed]) -> None:
        for batch in batches:
            self._publish(of_batch(batch, now=datetime.now(UTC)))

    def _publish(self, one: Outgoing) -> None:
        self._publisher.publish(Message(one.queue, one.body, one.properties, token=one))

    def _confirm(self, settled: PublishOutcome) -> None:
        """Ack the reports of what is safe. What is not is published again."""
        if settled.problem is not None:
            _log.warning("relay.not_sent", why=settled.problem)
            return
        one: Outgoing = settled.token
        one.tell()
        self._heartbeat.progress("relay")
        for tag in one.tags:
            self._consumer.release(tag)
        up_to = self._settling.settle(one.tags)
        if up_to is not None:
            self._consumer.session.ack(up_to, up_to=True)

    def _ack_stragglers(self, more_than: int) -> None:
        for tag in self._settling.stragglers(more_than):
            self._consumer.session.ack(tag)
