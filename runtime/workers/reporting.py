"""What a worker tells the site about itself: a heartbeat to `statesys.workers`.

No message depends on it. A worker that cannot publish heartbeats does its work, and says so once in
the log and in its heartbeat file.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from uuid import uuid4

import structlog

from runtime.broker import Administration, persistent
from runtime.in_force import published_settings
from runtime.settings import Settings
from runtime.workers.heartbeat import HeartbeatFile
from schemas.counts import Counts
from schemas.errors import BrokerUnavailable, NotTaken, PermissionMissing, TopologyWrong
from schemas.topology import WORKERS
from schemas.workers import Counters, Role, WorkerHeartbeat, render_heartbeat

_log = structlog.get_logger()

#: Interval of heartbeats, and of looks at what the site tells the workers.
REPORT_INTERVAL = timedelta(seconds=15)
#: What a permission or a queue that is missing raises: an operator has to repair it.
LASTING = (NotTaken, PermissionMissing, TopologyWrong)


class Tally:
    """Counts what a worker does. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters = Counters()
        self._counts = Counts()

    def add(self, more: Counters, counts: Counts | None = None) -> None:
        """Add to the counters, and to the finer counts."""
        with self._lock:
            self._counters = Counters(*map(sum, zip(self._counters, more, strict=True)))
            if counts is not None:
                self._counts.update(counts)

    def read(self) -> tuple[Counters, Counts]:
        """What was counted since the start, of one moment."""
        with self._lock:
            return self._counters, self._counts.copy()


class Notice:
    """A trouble that does not stop the worker, and that an operator should know.

    It is logged once, and noted in the heartbeat file for as long as it lasts.

    Args:
        heartbeat: receives the note.
        about: the subject of the note.
        event: name of the log line.
    """

    def __init__(self, heartbeat: HeartbeatFile, *, about: str, event: str) -> None:
        self._heartbeat = heartbeat
        self._about = about
        self._event = event
        self._told: str | None = None

    @contextmanager
    def watching(self, failure: str) -> Iterator[None]:
        """Do something at the broker inside: a lasting trouble is told, success ends it.

        While the broker is away, nothing is told: the worker's own connections tell that trouble.

        Args:
            failure: what is then not done, as the begin of a sentence.
        """
        try:
            yield
        except BrokerUnavailable:
            return
        except LASTING as error:
            self.tell(f"{failure}: {error}")
            return
        self.clear()

    def tell(self, why: str) -> None:
        """Tell the trouble; a repeated one is not logged again."""
        self._heartbeat.note(why, about=self._about)
        if why != self._told:
            self._told = why
            _log.warning(self._event, why=why)

    def clear(self) -> None:
        """The trouble is over."""
        self._told = None
        self._heartbeat.note(None, about=self._about)


class Reporter:
    """Publishes the heartbeats of this process.

    Args:
        role: what this process is.
        settings: of the process; URLs are left out of the heartbeat.
        heartbeat: the heartbeat file, which tells when heartbeats cannot be published.

    Attributes:
        worker_id: identifies this run of the worker, since process ids are reused.
        tally: what the worker has done.
    """

    def __init__(self, role: Role, settings: Settings, heartbeat: HeartbeatFile) -> None:
        self.worker_id = uuid4()
        self.tally = Tally()
        self._role = role
        self._url = settings.required_amqp_url()
        self._settings = published_settings(settings)
        self._started_at = datetime.now(UTC)
        self._started = time.monotonic()
        self._notice = Notice(heartbeat, about="heartbeats", event="worker.heartbeat_not_sent")

    def publish(self, *, ended: bool = False) -> None:
        """Publish a heartbeat; never raises for a broker or a permission.

        While the broker is away, heartbeats are left out: the next one has all counts.

        Args:
            ended: this is the last one.
        """
        body = render_heartbeat(self.heartbeat(ended=ended))
        properties = persistent(content_type="application/json")
        with (
            self._notice.watching("heartbeats are not published"),
            Administration(self._url, name=f"statesys {self._role} heartbeat") as admin,
        ):
            admin.publish(routing_key=WORKERS, body=body, properties=properties)

    def heartbeat(self, *, ended: bool = False) -> WorkerHeartbeat:
        """Describe this process now."""
        counters, counts = self.tally.read()
        return WorkerHeartbeat(
            worker_id=self.worker_id,
            role=self._role,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version("statesys"),
            started_at=self._started_at,
            uptime=time.monotonic() - self._started,
            ended=ended,
            settings=self._settings,
            counters=counters,
            counts=counts,
        )
