"""The heartbeat task: publishes the loader's own heartbeat, and stores those of all workers."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import structlog

from loader.store.workers import WorkerStore
from runtime.broker import Administration
from runtime.workers import HeartbeatFile
from runtime.workers.reporting import Notice, Reporter
from schemas.errors import Refused, TopologyWrong
from schemas.topology import WORKERS
from schemas.workers import WorkerHeartbeat, parse_heartbeat

_log = structlog.get_logger()

#: Heartbeats in one transaction, and transactions in one run: after an outage, several loaders
#: share what has gathered.
_AT_ONCE, _ROUNDS = 500, 20
#: Seconds that this loader must have stored heartbeats before it removes old workers: after an
#: outage, workers at work have been seen again by then.
_RETIRE_AFTER = 600.0
#: Seconds between two removals of old workers.
_RETIRE_EVERY = 3600.0


class HeartbeatTask:
    """Publishes and stores heartbeats.

    Args:
        open_store: opens a database connection.
        url: URL of the broker.
        reporter: publishes the heartbeats of this loader.
        heartbeat: gets a note while heartbeats cannot be read.
    """

    def __init__(
        self,
        open_store: Callable[[], WorkerStore],
        url: str,
        *,
        reporter: Reporter,
        heartbeat: HeartbeatFile,
    ) -> None:
        self._open_store = open_store
        self._url = url
        self._reporter = reporter
        self._notice = Notice(heartbeat, about="workers", event="loader.heartbeats_not_stored")
        self._retire_at = time.monotonic() + _RETIRE_AFTER

    def run(self) -> timedelta | None:
        """Publish a heartbeat, and store what the workers have published.

        Raises:
            DatabaseUnavailable: try again; the heartbeats stay in their queue.
        """
        self._reporter.publish()
        self._store()
        return None

    def end(self) -> None:
        """Publish the last heartbeat, and store it."""
        self._reporter.publish(ended=True)
        self._store()

    def _store(self) -> None:
        with (
            self._notice.watching("heartbeats of workers are not stored"),
            Administration(self._url, name="statesys loader heartbeats") as admin,
        ):
            if admin.depth(WORKERS) is None:
                raise TopologyWrong(f"queue '{WORKERS}' does not exist")
            self._store_all(admin)

    def _store_all(self, admin: Administration) -> None:
        with closing(self._open_store()) as store:
            for _ in range(_ROUNDS):
                heartbeats, last = _take(admin)
                if last is None:
                    break
                store.fold(heartbeats)
                # After the commit: a heartbeat that comes again changes nothing.
                admin.ack(last, up_to=True)
            if time.monotonic() >= self._retire_at:
                self._retire_at = time.monotonic() + _RETIRE_EVERY
                store.retire()


def _take(admin: Administration) -> tuple[list[WorkerHeartbeat], int | None]:
    """Take heartbeats; returns them and the tag of the last message, None if there is none."""
    found: list[WorkerHeartbeat] = []
    last: int | None = None
    for _ in range(_AT_ONCE):
        delivery = admin.take(WORKERS)
        if delivery is None:
            break
        last = delivery.tag
        try:
            found.append(parse_heartbeat(delivery.body))
        except Refused as refusal:
            # No state message is in this queue, so it is dropped.
            _log.warning("loader.heartbeat_refused", why=refusal.detail, bytes=len(delivery.body))
    return found, last
