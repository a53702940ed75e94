"""From the outbox to the broker: publish until it is confirmed, whatever happens on the way.

The outbox in the store is the only memory. The publisher remembers how far it came; when the
connection is lost, it begins again at the front of the outbox, where by then only the unconfirmed
is left. What the broker does not take goes again on the same connection, after a pause.
"""

import time
from collections.abc import Callable
from threading import Event as StopEvent

import structlog

from producers.store import Outgoing, Store
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

#: Reports read from the outbox at a time.
_READ = 200
#: Confirmed reports that are deleted in one transaction, at least, while more are on their way.
_SETTLE = 500
#: Requests that the broker hands over at a time, and that are answered in one store transaction at
#: most: an answer is a whole state, so dozens are a transaction of about a second.
_PREFETCH = 50
_NAME = "statesys producers"
#: For a broker that is away, and for a queue that takes nothing.
_RETRY = Retry(FIRST_PAUSE, LONGEST_PAUSE)

_log = structlog.get_logger()


class Publisher:
    """One session with the broker, for one store. Of one thread.

    Args:
        store: whose outbox is published.
        amqp_url: of the broker.
        stop: ends the waiting for a broker that is away.
        on_requests: takes the bodies of resync requests; they are acked when this returns.

    Raises:
        BrokerUnavailable: from `step`, when `stop` was set before the first connection.
        PermissionMissing, TopologyWrong: from `step` and `connect`; waiting would not help.
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
        # Whether a broker has ever been there.
        self._known = False
        self._position = 0
        self._caught_up = False
        self._confirmed: list[int] = []
        self._blocked: str | None = None
        self._pause: float | None = None
        self._resume_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether more reports wait than the window takes: time to stop making new ones."""
        return self._publisher is None or not self._caught_up or self._publisher.full

    @property
    def away(self) -> bool:
        """Whether the broker was there and is not: the outbox keeps what is made meanwhile."""
        return self._known and self._publisher is None

    def connect(self) -> None:
        """Connect now, and fail if the broker is away.

        Raises:
            BrokerUnavailable: it is.
        """
        self._open()

    def listen(self) -> None:
        """Take resync requests from now on."""
        if not self._listening:
            self._listening = True
            if self._publisher is not None:
                self._publisher.session.consume(self._reply_queue.name, prefetch=_PREFETCH)

    def step(self, timeout: float) -> None:
        """Publish what the window takes, and look at what the broker says.

        While the broker is away: try to reach it again, when it is time to.

        Args:
            timeout: seconds to wait for the broker at most.
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
        if len(self._confirmed) >= _SETTLE or not publisher.session.unconfirmed:
            self._flush()

    def more(self) -> None:
        """There is something new in the outbox."""
        self._caught_up = False

    def empty(self) -> bool:
        """Whether everything in the outbox was confirmed."""
        return not self.busy and not self._confirmed and self._store.outbox_is_empty()

    def close(self, patience: float) -> None:
        """Publish nothing more, note what is confirmed, disconnect.

        What is not confirmed waits in the store.

        Args:
            patience: seconds in which what was handed over may still be confirmed.
        """
        try:
            if self._publisher is not None:
                # Requests that come now are not acked, so they will come again.
                for settled in self._publisher.await_outcomes(patience):
                    self._note([settled])
        except (BrokerUnavailable, PermissionMissing):
            pass
        finally:
            self._drop()

    def _connected(self, timeout: float) -> bool:
        """Have a session, now or after the next step; the clients need none to go on.

        Only the first one is waited for: with it, it is known that there is such a broker.
        """
        if not self._known:
            until_available(self._stop, _NAME)(self._open)
            return True
        left = self._resume_at - time.monotonic()
        if left > 0:
            self._stop.wait(min(timeout, left))
            return False
        try:
            self._open()
        except BrokerUnavailable as error:
            _log.warning("worker.waiting", worker=_NAME, why=str(error))
            self._pause = _RETRY.pause_after(self._pause)
            self._resume_at = time.monotonic() + self._pause
            return False
        self._pause = None
        return True

    def _open(self) -> None:
        self._declare()
        session = Session(self._url, name=_NAME)
        self._publisher = ConfirmingPublisher(session, retry=_RETRY, before_again=self._declare)
        self._known = True
        self._position, self._caught_up = 0, False
        if self._listening:
            session.consume(self._reply_queue.name, prefetch=_PREFETCH)

    def _declare(self) -> None:
        reports = (queue for queue in topology.QUEUES if queue.name == topology.REPORTS)
        declare(self._url, [*reports, self._reply_queue], name=_NAME)

    def _fill(self, publisher: ConfirmingPublisher) -> None:
        """Hand over in the order of the outbox, as much as the publisher should hold."""
        while not self._caught_up and not publisher.full and publisher.session.blocked is None:
            reports = self._store.outgoing_after(self._position, _READ)
            for report in reports:
                publisher.publish(self._message(report))
                self._position = report.position
            self._caught_up = len(reports) < _READ

    def _message(self, report: Outgoing) -> Message:
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
        """Have requests answered into the outbox, then ack them."""
        if requests:
            self._on_requests([request.body for request in requests])
            self._caught_up = False
            session.ack(requests[-1].tag, up_to=True)

    def _note(self, events: list[Event]) -> None:
        """Note what is confirmed; what is refused is with the publisher until it is taken."""
        settled = [event for event in events if isinstance(event, PublishOutcome)]
        self._confirmed += [event.token for event in settled if event.problem is None]
        refused = [event.problem for event in settled if event.problem is not None]
        if refused:
            # The first one tells why; a thousand more of the same would say nothing new.
            _log.warning("producers.publish_refused", why=refused[0], reports=len(refused))

    def _look_for_alarms(self, session: Session) -> None:
        if session.blocked != self._blocked:
            self._blocked = session.blocked
            _log.warning("producers.broker_blocks", why=self._blocked or "no more")

    def _flush(self) -> None:
        if self._confirmed:
            self._store.settle(self._confirmed)
            self._confirmed.clear()

    def _drop(self) -> None:
        """Whatever was in the air is void; what was confirmed counts."""
        publisher, self._publisher = self._publisher, None
        try:
            if publisher is not None:
                publisher.session.close()
        finally:
            self._flush()
