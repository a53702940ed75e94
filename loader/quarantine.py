"""The quarantine task: tells the relays which clients are in quarantine.

The queue `statesys.quarantine` holds one message, the whole list. A new list takes the place of the
old one. It is published again at each turn, changed or not, so that a list that was lost with its
queue is there again soon.
"""

from collections.abc import Callable
from contextlib import closing

from loader.store.quarantine import QuarantineStore
from runtime.broker import Administration, persistent
from runtime.workers import HeartbeatFile
from runtime.workers.reporting import REPORT_INTERVAL, Notice
from schemas.quarantine import render_quarantine
from schemas.topology import QUARANTINE


class QuarantineTask:
    """Publishes the list of quarantined clients, in one loader of the site at a time.

    Args:
        open_store: opens a database connection.
        url: URL of the broker.
        heartbeat: gets a note while the list cannot be published.
    """

    def __init__(
        self, open_store: Callable[[], QuarantineStore], url: str, *, heartbeat: HeartbeatFile
    ) -> None:
        self._open_store = open_store
        self._url = url
        self._notice = Notice(
            heartbeat, about="quarantine", event="loader.quarantine_not_published"
        )

    def run(self) -> None:
        """Publish the list, unless a loader of the site did so within the interval.

        Raises:
            DatabaseUnavailable: try again.
        """
        with closing(self._open_store()) as store:
            clients = store.listed_if_due(interval=REPORT_INTERVAL)
        if clients is None:
            return
        body = render_quarantine(clients)
        properties = persistent(content_type="application/json")
        # While the broker is away, the next turn publishes.
        with (
            self._notice.watching("the list of quarantined clients is not published"),
            Administration(self._url, name="statesys loader quarantine") as admin,
        ):
            admin.publish(routing_key=QUARANTINE, body=body, properties=properties)
