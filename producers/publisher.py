"""Publish the outbox of a store until the broker has confirmed every report.

Only the outbox is durable. The publisher keeps its position in it. When the connection is lost,
the publisher deletes the confirmed reports and starts again at the front, with those that are left.
When the broker refuses a report, the publisher sends it again on the same connection, after a
pause.
"""

import time
from collections.abc import Callable
from threading import Event as StopEvent

import structlog

from producers.store import OutboxReport, Store
from runtime.broker import (
    ConfirmingPublisher,
    Delivery,
    Event,
    Message,
    PublishOutcome,
    Retry,
    Session,
    declare,
)
from runtime.broker.messages import report_properties
from runtime.workers.retry import FIRST_PAUSE, LONGEST_PAUSE, until_available
from schemas import topology
from schemas.errors import BrokerUnavailable, PermissionMissing

#: Reports read from the outbox in one query.
_READ = 200
#: While confirms are outstanding, confirmed reports are deleted when this many are collected.
_DELETE_AFTER = 500
#: Unacked requests that the broker delivers, and so the most in one store transaction. An answer is
#: a whole state, so a transaction with dozens takes about a second.
_PREFETCH = 50
_NAME = "statesys producers"
#: Pauses before reconnecting, and before publishing a refused report again.
_RETRY = Retry(FIRST_PAUSE, LONGEST_PAUSE)

_log = structlog.get_logger()


class Publisher:
    """Publishes the outbox of one store in one session at a time. Used by one thread.

    Args:
        store: the store whose outbox is published.
        amqp_url: of the broker.
        stop: set it to end the wait for a broker that is away.
        on_requests: called with the bodies of resync requests; these are acked when it returns.

    Raises:
        BrokerUnavailable: from `step`, when `stop` is set before the first connection.
        PermissionMissing, TopologyWrong: from `step` and `connect`; retrying would not help.
    """

    def __init__(
        self,
        store: Store,
        amqp_url: str,
        *,
        stop: StopEvent,
        on_requests: Callable[[list[bytes]], None],
    ) -> None:
        self._store = store
        self._url = amqp_url
        self._stop = stop
        self._on_requests = on_requests
        self._reply_queue = topology.reply_queue(store.store_id)
        # None while there is no connection.
        self._publisher: ConfirmingPublisher | None = None
        self._listening = False
        # Whether there has been a connection.
        self._known = False
        self._position = 0
        self._caught_up = False
        self._confirmed: list[int] = []
        self._blocked: str | None = None
        self._pause: float | None = None
        self._resume_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether it cannot take more reports now.

        The reason is no connection, reports that are left in the outbox, or a full window. While
        `away`, the caller may make reports all the same; they wait in the outbox.
        """
        return self._publisher is None or not self._caught_up or self._publisher.full

    @property
    def away(self) -> bool:
        """Whether the connection is lost; new reports wait in the outbox."""
        return self._known and self._publisher is None

    def connect(self) -> None:
        """Connect at once, without waiting for the broker.

        Raises:
            BrokerUnavailable: the broker is away.
        """
        self._declare()
        session = Session(self._url, name=_NAME)
        self._publisher = ConfirmingPublisher(session, retry=_RETRY, before_again=self._declare)
        self._known = True
        self._position, self._caught_up = 0, False
        if self._listening:
            session.consume(self._reply_queue.name, prefetch=_PREFETCH)

    def listen(self) -> None:
        """Start to consume resync requests."""
        if not self._listening:
            self._listening = True
            if self._publisher is not None:
                self._publisher.session.consume(self._reply_queue.name, prefetch=_PREFETCH)

    def step(self, timeout: float) -> None:
        """Publish as many reports as the window takes, and handle what the broker sends.

        Waits for the first connection until `stop` is set. After a lost connection, tries to
        reconnect when the pause is over.

        Args:
            timeout: seconds to wait at most for the broker's events, or in a pause.
        """
        if self._publisher is None and not self._connected(timeout):
            return
        publisher = self._publisher
        assert publisher is not None
        try:
            self._fill(publisher)
            events = publisher.poll(timeout)
            self._look_for_alarms(publisher.session)
            self._note(events)
            self._take(publisher.session, [one for one in events if isinstance(one, Delivery)])
        except BrokerUnavailable as error:
            _log.warning("producers.broker_lost", why=str(error))
            self._drop()
            return
        if len(self._confirmed) >= _DELETE_AFTER or not publisher.session.unconfirmed:
            self._flush()

    def notify(self) -> None:
        """Note that the outbox has new reports."""
        self._caught_up = False

    def empty(self) -> bool:
        """Whether every report was confirmed and deleted from the outbox."""
        return not self.busy and not self._confirmed and self._store.outbox_is_empty()

    def close(self, patience: float) -> None:
        """Wait for outstanding confirms, delete the confirmed reports, and disconnect.

        Unconfirmed reports stay in the outbox.

        Args:
            patience: seconds to wait for confirms at most.
        """
        try:
            if self._publisher is not None:
                # Requests that arrive now are not acked, so the broker delivers them again.
                for settled in self._publisher.await_outcomes(patience):
                    self._note([settled])
        except (BrokerUnavailable, PermissionMissing):
            pass
        finally:
            self._drop()

    def _connected(self, timeout: float) -> bool:
        """Connect if needed; returns whether there is a session.

        Only the first connection is waited for. Later the clients go on without a broker, so a
        failed attempt is repeated in a later step.
        """
        if not self._known:
            until_available(self._stop, _NAME)(self.connect)
            return True
        left = self._resume_at - time.monotonic()
        if left > 0:
            self._stop.wait(min(timeout, left))
            return False
        try:
            self.connect()
        except BrokerUnavailable as error:
            _log.warning("worker.waiting", worker=_NAME, why=str(error))
            self._pause = _RETRY.pause_after(self._pause)
            self._resume_at = time.monotonic() + self._pause
            return False
        self._pause = None
        return True

    def _declare(self) -> None:
        declare(
            self._url,
            lambda shards: [*topology.report_queues(shards), self._reply_queue],
            name=_NAME,
        )

    def _fill(self, publisher: ConfirmingPublisher) -> None:
        """Hand reports to the publisher in the order of the outbox, until it is full."""
        while not self._caught_up and not publisher.full and publisher.session.blocked is None:
            reports = self._store.outgoing_after(self._position, _READ)
            for report in reports:
                publisher.publish(self._message(report))
                self._position = report.position
            self._caught_up = len(reports) < _READ

    def _message(self, report: OutboxReport) -> Message:
        answering = report.correlation_id
        return Message(
            exchange=topology.REPORTS,
            routing_key=topology.REPORTS,
            body=report.body,
            token=report.position,
            properties=report_properties(
                report.client_id,
                first_serial=report.first_serial,
                last_serial=report.last_serial,
                messages=report.messages,
                message_id=report.message_id,
                timestamp=report.rendered_at,
                reply_to=self._reply_queue.name,
                correlation_id=None if answering is None else str(answering),
            ),
        )

    def _take(self, session: Session, requests: list[Delivery]) -> None:
        """Write the answers to requests into the outbox, then ack the requests."""
        if requests:
            self._on_requests([request.body for request in requests])
            self._caught_up = False
            session.ack(requests[-1].tag, up_to=True)

    def _note(self, events: list[Event]) -> None:
        """Collect confirmed reports. `ConfirmingPublisher` itself publishes refused ones again."""
        settled = [event for event in events if isinstance(event, PublishOutcome)]
        self._confirmed += [event.token for event in settled if event.problem is None]
        refused = [event.problem for event in settled if event.problem is not None]
        if refused:
            # The first reason is enough; a thousand more would usually be the same.
            _log.warning("producers.publish_refused", why=refused[0], reports=len(refused))

    def _look_for_alarms(self, session: Session) -> None:
        if session.blocked != self._blocked:
            self._blocked = session.blocked
            _log.warning("producers.broker_blocks", why=self._blocked or "no more")

    def _flush(self) -> None:
        if self._confirmed:
            self._store.delete_confirmed(self._confirmed)
            self._confirmed.clear()

    def _drop(self) -> None:
        """Close the session, and delete the confirmed reports; the others will be sent again."""
        publisher, self._publisher = self._publisher, None
        try:
            if publisher is not None:
                publisher.session.close()
        finally:
            self._flush()
