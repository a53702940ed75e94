"""The loader's dead letters: on a connection of their own, and done when confirmed.

A letter is rare, so a plain blocking publish will do; and since memory alarms stop connections
that publish, it must not be the connection that consumes and acks.
"""

import threading
from datetime import UTC, datetime

import structlog

from runtime.broker import Administration, Properties
from runtime.broker.dead_letters import dead_letter
from runtime.workers import HeartbeatFile
from runtime.workers.retry import until_available
from schemas.errors import BrokerUnavailable, NotTaken, Refused
from schemas.topology import DEAD

_log = structlog.get_logger()


class DeadLetterPublisher:
    """Buries what cannot be loaded. Shared by the loader threads, one at a time.

    Args:
        url: of the broker.
        stop: ends waiting for a broker that is away.
        heartbeat: hears of progress and trouble.
    """

    def __init__(self, url: str, *, stop: threading.Event, heartbeat: HeartbeatFile) -> None:
        self._url = url
        self._stop = stop
        self._heartbeat = heartbeat
        self._turn = threading.Lock()
        self._admin: Administration | None = None

    def bury(self, body: bytes, original: Properties, refusal: Refused, *, queue: str) -> None:
        """Publish one letter and wait until the broker has it.

        Args:
            body: what was refused, byte for byte.
            original: its properties.
            refusal: the reason and its detail.
            queue: where it came from, and where a replay puts it back.

        Raises:
            BrokerUnavailable: only when stopping; the message is then still unsettled.
            PermissionMissing: the loader's user may not publish.
        """
        properties = dead_letter(
            original, refusal, stage="loader", queue=queue, now=datetime.now(UTC)
        )
        with self._turn:
            until_available(self._stop, "letters", self._heartbeat)(self._publish, body, properties)
            self._heartbeat.progress("letters")
        _log.warning("loader.message_refused", reason=refusal.reason.value, detail=refusal.detail)

    def close(self) -> None:
        """Give the connection back."""
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()

    def _publish(self, body: bytes, properties: Properties) -> None:
        try:
            if self._admin is None:
                self._admin = Administration(self._url, name="statesys loader letters")
            self._admin.publish(routing_key=DEAD, body=body, properties=properties)
        except BrokerUnavailable:
            # Perhaps only its channel is lost.
            self.close()
            raise
        except NotTaken as error:
            # The queue may come back; until then, wait.
            raise BrokerUnavailable(str(error)) from None
