"""A relay process: consumes reports, publishes batches, and acks a report only after the confirm.

It publishes and consumes on two sessions. During a memory or disk alarm RabbitMQ stops reading
from connections that publish, so it would not read an ack on such a connection.
"""

import os
import socket
import threading
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from relay.batcher import Batcher, Closed
from relay.outgoing import Outgoing, of_batch, of_refused
from relay.quarantine import Quarantine
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
from runtime.workers.periodic import PeriodicTask
from runtime.workers.renewal import RENEW_AFTER, run_until_renewal
from runtime.workers.reporting import REPORT_INTERVAL, Reporter, Tally
from runtime.workers.retry import until_available
from runtime.workers.shards import Shards
from schemas.errors import BrokerUnavailable, Refused
from schemas.topology import batches_of, queues, reports
from schemas.workers import Role

_log = structlog.get_logger()
_KIB = 1024
#: Seconds of one poll while no confirm is pending; also the longest delay until a stop is noticed.
_POLL = 0.1
#: Seconds of one poll while confirms are pending; they arrive on the other session.
_POLL_FOR_CONFIRMS = 0.002
#: Seconds until a message that the broker returned or nacked is published again.
_AGAIN_AFTER = 1.0
#: Time until the next look for the list of quarantined clients while none has been found.
_SOON = timedelta(seconds=3)
#: Finished deliveries that may wait for a common ack behind an unfinished one.
_MAX_STRAGGLERS = 100
#: Seconds to wait for the confirms of the last batches when stopping.
_FINISH_TIMEOUT = 30.0
#: Seconds between two heartbeats while it waits for them.
_BEAT = 1.0
#: Seconds to wait for the last heartbeat, which nothing depends on.
_LAST_HEARTBEAT_TIMEOUT = 2.0


class Relay:
    """One relay process.

    Args:
        settings: the settings of the process.
        stop: set it to stop the relay, which first publishes and acks what it holds.
    """

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._url = settings.required_amqp_url()
        self._name = f"{socket.gethostname()}/{os.getpid()}"
        self._heartbeat = HeartbeatFile(settings.home, "relay")
        self._reporter = Reporter(Role.RELAY, settings, self._heartbeat)
        self._quarantine = Quarantine(self._url, self._heartbeat)
        self._shards = Shards(self._url, name="statesys relay shards")
        # Set after the last report: the last heartbeat has the final counts.
        self._halt = threading.Event()
        self._site = PeriodicTask(
            "site",
            self._exchange_with_site,
            every=REPORT_INTERVAL,
            stop=self._halt,
            heartbeat=self._heartbeat,
            at_end=lambda: self._reporter.publish(ended=True),
        )

    def run(self, *, exit_when_empty: bool = False) -> None:
        """Run until stopped.

        Args:
            exit_when_empty: also end after a second with an empty queue and no unsettled report.

        Raises:
            BrokerUnavailable: the broker cannot be reached at the start. If it becomes unavailable
                later, the relay waits for it.
            PermissionMissing: the user lacks a permission, at the start or later.
            TopologyWrong: a queue or exchange has the wrong properties. The relay checks them
                before it consumes, at the start and after a lost connection.
        """
        require_write(self._url, name="statesys relay")
        self._heartbeat.beat(held=0, now=True)
        try:
            until_available(self._stop, "relay", self._heartbeat)(
                self._run_connected, exit_when_empty
            )
        except BrokerUnavailable:
            # Stopped while the broker is unavailable: it redelivers the unsettled reports later.
            if not self._stop.is_set():
                raise
        finally:
            self._end_site()
            self._heartbeat.end()
        _log.info("relay.stopped")
        if self._site.failure is not None:
            raise self._site.failure

    def _exchange_with_site(self) -> timedelta | None:
        """Read the list of quarantined clients, look for shards, and publish a heartbeat."""
        try:
            # The heartbeat comes last: during an alarm the broker stops reading from a connection
            # that has published.
            self._quarantine.look()
            with suppress(BrokerUnavailable):
                self._shards.look()
            self._reporter.publish()
        except Exception:
            # A defect: end in order. The failure is raised after the last report.
            self._stop.set()
            raise
        return None if self._quarantine.known else _SOON

    def _end_site(self) -> None:
        self._halt.set()
        if self._site.is_alive():
            self._site.join(_LAST_HEARTBEAT_TIMEOUT)

    def _run_connected(self, exit_when_empty: bool) -> None:  # noqa: FBT001 (called by tenacity)
        self._declare()
        # Before the first report, so that a restart lets none of a quarantined client through.
        self._quarantine.look_first(self._stop)
        if self._site.ident is None:
            self._site.start()
        with (
            closing(Session(self._url, name="statesys relay publish")) as publishing,
            closing(Session(self._url, name="statesys relay consume")) as consuming,
        ):
            pipeline = _Pipeline(
                Consumer(consuming, reports(self._shards.known), prefetch=MAX_PREFETCH),
                ConfirmingPublisher(
                    publishing,
                    retry=Retry(_AGAIN_AFTER, _AGAIN_AFTER),
                    # A refused message may mean that its queue was deleted.
                    before_again=self._declare,
                ),
                name=self._name,
                settings=self._settings,
                heartbeat=self._heartbeat,
                quarantine=self._quarantine,
                shards=self._shards,
                tally=self._reporter.tally,
            )
            pipeline.run(self._stop, exit_when_empty=exit_when_empty)

    def _declare(self) -> None:
        found = declare(self._url, queues, name="statesys relay")
        self._shards.note(found.shards)
        self._heartbeat.note(found.note)


class _Pipeline:
    """Consumes, validates, batches, publishes and acks on one pair of sessions.

    A lost session ends the pipeline; the relay makes a new one.

    Args:
        consumer: consumes the reports.
        publisher: publishes batches and dead letters.
        name: name of the relay, written into the batches.
        settings: sizes and times.
        heartbeat: receives progress.
        quarantine: the clients in quarantine.
        shards: the number of shards whose queues the pipeline consumes; it may grow.
        tally: counts what is confirmed.
    """

    def __init__(
        self,
        consumer: Consumer,
        publisher: ConfirmingPublisher,
        *,
        name: str,
        settings: Settings,
        heartbeat: HeartbeatFile,
        quarantine: Quarantine,
        shards: Shards,
        tally: Tally,
    ) -> None:
        self._consumer = consumer
        self._shards = shards
        self._consumed = shards.known
        self._publisher = publisher
        self._quarantine = quarantine
        self._tally = tally
        self._heartbeat = heartbeat
        self._max_bytes = settings.max_report_size * _KIB
        self._batcher = Batcher(
            name,
            max_bytes=settings.batch_size * _KIB,
            linger=settings.batch_linger.total_seconds(),
        )
        self._settling = Settling()
        # Bytes of reports that the current thread has parsed.
        self._read = 0

    def run(self, stop: threading.Event, *, exit_when_empty: bool) -> None:
        """Run until stopped, or until empty; then publish and ack what is held."""
        self._consumer.start()
        self._heartbeat.progress("relay")
        _log.info("relay.consuming", shards=self._consumed, broker=self._consumer.session.where)
        run = partial(self._run_some, stop, exit_when_empty)
        while not run_until_renewal("relay", run):
            pass
        self._consumer.session.cancel()
        _log.info("relay.stopping")
        self._publish_all(self._batcher.close_all())
        self._await_confirms()
        self._ack_stragglers(0)
        # One more poll sends the frames of the last acks.
        self._consumer.session.poll(0)

    def _await_confirms(self) -> None:
        """Wait for the confirms of what is published, and write the heartbeat file meanwhile."""
        deadline = time.monotonic() + _FINISH_TIMEOUT
        while self._publisher and (left := deadline - time.monotonic()) > 0:
            for outcome in self._publisher.await_outcomes(min(_BEAT, left)):
                self._confirm(outcome)
            blocked = self._publisher.session.blocked
            self._heartbeat.beat(held=len(self._consumer), blocked=blocked, stopping=True)

    def _run_some(self, stop: threading.Event, exit_when_empty: bool) -> bool:  # noqa: FBT001
        """Run until this thread is due for renewal (False) or the relay is to end (True)."""
        self._read = 0
        while self._read < RENEW_AFTER:
            if stop.is_set():
                return True
            self._step()
            if exit_when_empty and self._consumer.empty():
                return True
        return False

    def _step(self) -> None:
        if self._shards.known > self._consumed:
            self._consumed = self._shards.known
            self._consumer.cover(reports(self._consumed))
            _log.info("relay.shards_added", shards=self._consumed)
        for event in self._consumer.poll(self._poll_timeout()):
            if isinstance(event, Delivery):
                self._receive(event)
        self._publish_all(self._batcher.overdue(time.monotonic()))
        for outcome in self._publisher.poll(0):
            if isinstance(outcome, PublishOutcome):
                self._confirm(outcome)
        if self._publisher.refused:
            # A refused message stays unconfirmed for long. Without single acks, all later reports
            # would wait behind its reports and fill the prefetch.
            self._ack_stragglers(_MAX_STRAGGLERS)
        blocked = self._publisher.session.blocked
        if self._consumer.control():
            _log.warning("relay.paused", held_bytes=self._consumer.held_bytes, blocked=blocked)
        self._heartbeat.beat(held=len(self._consumer), blocked=blocked)

    def _poll_timeout(self) -> float:
        """Seconds to wait for reports; short enough to also poll the publishing session."""
        timeout = _POLL_FOR_CONFIRMS if self._publisher.session.unconfirmed else _POLL
        overdue = self._batcher.wait(time.monotonic())
        return timeout if overdue is None else min(timeout, overdue)

    def _receive(self, delivery: Delivery) -> None:
        """Validate a report; add it to a batch or publish it as a dead letter."""
        self._settling.add_delivery(delivery.tag)
        self._read += len(delivery.body)
        now = datetime.now(UTC)
        try:
            taken = accept(
                delivery,
                received_at=now,
                max_bytes=self._max_bytes,
                quarantined=self._quarantine.clients,
            )
        except Refused as refusal:
            self._publish(of_refused(delivery, refusal, now=now))
            return
        full = self._batcher.add(
            batches_of(delivery.queue, taken.lane),
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

    def _confirm(self, outcome: PublishOutcome) -> None:
        """Ack the reports of a confirmed message; the publisher repeats a refused one itself."""
        if outcome.problem is not None:
            _log.warning("relay.not_sent", why=outcome.problem)
            return
        one: Outgoing = outcome.token
        one.log()
        self._tally.add(one.counters, one.counts)
        self._heartbeat.progress("relay")
        for tag in one.tags:
            self._consumer.release(tag)
        up_to = self._settling.settle(one.tags)
        if up_to is not None:
            self._consumer.session.ack(up_to, up_to=True)

    def _ack_stragglers(self, more_than: int) -> None:
        """Ack settled reports that wait for an earlier one, if they are more than this many."""
        for tag in self._settling.stragglers(more_than):
            self._consumer.session.ack(tag)
