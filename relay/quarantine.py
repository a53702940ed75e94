"""The clients in quarantine, as the loaders publish them.

A relay has no database. Loaders keep one message in `statesys.quarantine`, the list of all
quarantined clients; each relay takes it, reads it, and puts it back for the others.
"""

import threading

import structlog

from runtime.broker import Administration, Delivery
from runtime.workers import HeartbeatFile
from runtime.workers.reporting import LASTING, Notice
from schemas.errors import BrokerUnavailable, Refused
from schemas.quarantine import parse_quarantine
from schemas.topology import QUARANTINE

_log = structlog.get_logger()
#: Looks before the first report, and seconds between them: another relay may hold the list for a
#: moment.
_FIRST_LOOKS, _PAUSE = 3, 0.1


class Quarantine:
    """The list of quarantined clients, as this relay knows it.

    Args:
        url: of the broker.
        heartbeat: gets a note while the list cannot be read.

    Attributes:
        clients: ids as `str(UUID)` writes them. The last list counts while there is no newer one.
        known: whether a list was found since the start.
    """

    def __init__(self, url: str, heartbeat: HeartbeatFile) -> None:
        self.clients: frozenset[str] = frozenset()
        self.known = False
        self._url = url
        self._notice = Notice(heartbeat, about="quarantine", event="relay.quarantine_unknown")
        self._read = b""

    def look_first(self, stop: threading.Event) -> None:
        """Look before the first report of a connection.

        Args:
            stop: ends the pauses between the looks.

        Raises:
            BrokerUnavailable: try again.
        """
        for _ in range(_FIRST_LOOKS):
            if self._look():
                return
            stop.wait(_PAUSE)

    def look(self) -> None:
        """Look for a new list; while the broker is away, the last one counts."""
        try:
            self._look()
        except BrokerUnavailable:
            # The relay's own connections tell this trouble.
            return

    def _look(self) -> bool:
        """Look once; True if there was a list, or if looking again would not help."""
        try:
            with Administration(self._url, name="statesys relay quarantine") as admin:
                if admin.depth(QUARANTINE) is None:
                    self._tell(f"queue '{QUARANTINE}' does not exist")
                    return True
                delivery = admin.take(QUARANTINE)
                if delivery is None:
                    return False
                admin.requeue(delivery.tag)
        except LASTING as error:
            self._tell(str(error))
            return True
        self._receive(delivery)
        return True

    def _receive(self, delivery: Delivery) -> None:
        if delivery.body == self._read and self.known:
            self._notice.clear()
            return
        try:
            clients = frozenset(map(str, parse_quarantine(delivery.body)))
        except Refused as refusal:
            self._tell(f"unreadable: {refusal.detail}")
            return
        self._notice.clear()
        self._read, self.known = delivery.body, True
        if clients != self.clients:
            self.clients = clients
            _log.info("relay.quarantine_changed", clients=len(clients))

    def _tell(self, why: str) -> None:
        self._notice.tell(f"the list of quarantined clients cannot be read: {why}")
