"""Publishes the loader's dead letters on a separate connection.

RabbitMQ's alarms stop connections that publish, so this must not be the connection that consumes
and acks. Dead letters are rare, so a blocking publish is fast enough.
"""

import threading
from datetime import UTC, datetime

import structlog

from runtime.broker import Administration, Properties
from runtime.broker.dead_letters import dead_letter
from runtime.workers import HeartbeatFile
from runtime.workers.reporting import Tally
from runtime.workers.retry import until_available
from schemas.counts import Counts, refused
from schemas.errors import BrokerUnavailable, NotTaken, Refused
from schemas.topology import DEAD
from schemas.workers import Counters

_log = structlog.get_logger()


class DeadLetterPublisher:
    """Publishes dead letters for all loader threads, one at a time.

    Args:
        url: URL of the broker.
        stop: set it to end waiting for an unavailable broker.
        heartbeat: receives progress and trouble.
        tally: counts the dead letters.
    """

    def __init__(
        self, url: str, *, stop: threading.Event, heartbeat: HeartbeatFile, tally: Tally
    ) -> None:
        self._url = url
        self._tally = tally
        self._stop = stop
        self._heartbeat = heartbeat
        self._lock = threading.Lock()
        self._admin: Administration | None = None

    def publish(self, body: bytes, original: Properties, refusal: Refused, *, queue: str) -> None:
        """Publish one dead letter and wait for the broker's confirm.

        Args:
            body: body of the dead letter.
            original: AMQP properties to keep.
            refusal: the reason and its detail.
            queue: the queue that a replay puts the message into.

        Raises:
            BrokerUnavailable: only when stopping; the message stays unsettled.
            PermissionMissing: the loader's user may not publish.
        """
        properties = dead_letter(
            original, refusal, stage="loader", queue=queue, now=datetime.now(UTC)
        )
        with self._lock:
            until_available(self._stop, "letters", self._heartbeat)(self._publish, body, properties)
            self._heartbeat.progress("letters")
        self._tally.add(Counters(refused=1), Counts({refused(refusal.reason): 1}))
        _log.warning("loader.message_refused", reason=refusal.reason.value, detail=refusal.detail)

    def close(self) -> None:
        """Close the connection."""
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()

    def _publish(self, body: bytes, properties: Properties) -> None:
        try:
            if self._admin is None:
                self._admin = Administration(self._url, name="statesys loader letters")
            self._admin.publish(routing_key=DEAD, body=body, properties=properties)
        except BrokerUnavailable:
            # Also if only the channel is lost: the next try opens a new connection.
            self.close()
            raise
        except NotTaken as error:
            # The queue may be declared again, so this is tried again; on a new channel, because an
            # old one may refuse everything (`Session.publish_afresh`).
            self.close()
            raise BrokerUnavailable(str(error)) from None
