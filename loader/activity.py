"""The activity task: writes down who sends how much, by client and by topic."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime, timedelta

import structlog

from loader.store.activity import ActivityStore

_log = structlog.get_logger()

#: How often a loader writes its counts by topic. One that is killed loses what it counted since.
TOPICS_WRITTEN = timedelta(minutes=1)
#: Interval of the lists of who sends most, by any loader. Each reads every client.
TOP_INTERVAL = timedelta(minutes=5)
_HOUR = timedelta(hours=1)


class TopicCounts:
    """What the threads of a loader have committed, by topic type, since it was last taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[int] = Counter()

    def add(self, counts: Mapping[int, int]) -> None:
        """Add the counts of a chunk."""
        with self._lock:
            self._counts.update(counts)

    def take(self) -> Mapping[int, int]:
        """Return the counts, and begin anew."""
        with self._lock:
            taken, self._counts = self._counts, Counter()
            return taken


class ActivityTask:
    """Writes this loader's counts by topic, and takes the snapshots of the clients' counters.

    Args:
        open_store: opens a database connection.
        counts: of this loader.
    """

    def __init__(self, open_store: Callable[[], ActivityStore], counts: TopicCounts) -> None:
        self._open_store = open_store
        self._counts = counts

    def run(self) -> timedelta:
        """Write what was counted; take a snapshot, if a new hour has begun.

        Returns:
            How long to wait until the next call: an interval, or the rest of the hour.

        Raises:
            DatabaseUnavailable: try again.
        """
        with closing(self._open_store()) as store:
            now = store.now()
            self._write_topics(store, now)
            clients = store.take_snapshot(now=now)
            kept = store.keep_top(now=now, interval=TOP_INTERVAL)
        if kept:
            _log.debug("loader.top_kept")
        if clients is not None:
            _log.info("loader.activity_noted", clients=clients)
        return min(TOPICS_WRITTEN, until_next_hour(now))

    def end(self) -> None:
        """Write what was counted since the last call.

        Raises:
            DatabaseUnavailable: it is lost.
        """
        with closing(self._open_store()) as store:
            self._write_topics(store, store.now())

    def _write_topics(self, store: ActivityStore, now: datetime) -> None:
        taken = self._counts.take()
        if not taken:
            return
        try:
            store.add_topics(taken, now=now)
        except BaseException:
            # If only the answer to the commit was lost, they are added twice.
            self._counts.add(taken)
            raise


def until_next_hour(now: datetime) -> timedelta:
    """Return the time from a moment to the next full hour (UTC)."""
    return _HOUR - timedelta(minutes=now.minute, seconds=now.second, microseconds=now.microsecond)
