"""The loader's periodic tasks, each in a thread of its own, so that they do not delay loading."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import structlog

from loader.store import CollectionStore, PartitionStore, ResyncStore
from runtime.workers import HeartbeatFile
from runtime.workers.retry import until_available
from schemas.errors import BrokerUnavailable, DatabaseUnavailable, SchemaMissing

_log = structlog.get_logger()

#: Partitions are made a week ahead, so an hour is often enough.
PARTITION_INTERVAL = timedelta(hours=1)
#: Interval of counting the site's totals, by any loader. Counting reads every client.
TOTALS_INTERVAL = timedelta(hours=1)
#: How often each loader checks whether the totals are due: the one that counted may have ended.
TOTALS_TRIED = timedelta(minutes=5)
#: Interval of evaluating a collection, by any loader. "Who joined in the last hour" is told to that
#: accuracy. Evaluating reads every client; more often, a site with many collections would do
#: little else.
COLLECTION_INTERVAL = timedelta(minutes=5)
#: How often each loader checks whether a collection is due, such as one that was made just now.
COLLECTIONS_TRIED = timedelta(minutes=1)


class PeriodicTask(threading.Thread):
    """A thread that acts at once and then at an interval, until stopped.

    While a server is unavailable, it waits and tries again.

    Args:
        name: name of the thread.
        act: what to do; returns after which time to do it again, or None for the interval. A time
            longer than the interval has no effect.
        every: the interval.
        stop: set it to stop the task.
        heartbeat: receives trouble and its end.
        at_end: called once after the stop; an unavailable server is ignored then.

    Attributes:
        failure: the error that ended the thread, for the service to raise; None if there is none.
    """

    def __init__(
        self,
        name: str,
        act: Callable[[], timedelta | None],
        *,
        every: timedelta,
        stop: threading.Event,
        heartbeat: HeartbeatFile,
        at_end: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._act = act
        self._every = every.total_seconds()
        self._stop_event = stop
        self._heartbeat = heartbeat
        self._at_end = at_end
        self.failure: Exception | None = None

    def run(self) -> None:
        """Act until stopped."""
        next_at = time.monotonic()
        try:
            while not self._stop_event.wait(max(0.0, next_at - time.monotonic())):
                next_at = time.monotonic() + self._every
                wait = until_available(self._stop_event, self.name, self._heartbeat)(self._act)
                if wait is not None:
                    next_at = min(next_at, time.monotonic() + wait.total_seconds())
                self._heartbeat.clear(self.name)
            if self._at_end is not None:
                self._at_end()
        except (BrokerUnavailable, DatabaseUnavailable, SchemaMissing):
            # Only when stopping: until then, `until_available` waits for the server.
            pass
        except Exception as error:  # noqa: BLE001 (the service re-raises it in the main thread)
            self.failure = error


def make_partitions(url: str) -> None:
    """Make the partitions of the coming days; `keep_partitions` drops the old ones.

    The first chunk must not wait for that, since dropping waits for long readers (a dump, for
    example).

    Args:
        url: URL of the database.

    Raises:
        DatabaseUnavailable: try again.
    """
    with closing(PartitionStore(url, name="statesys partitions")) as store:
        store.make()


def keep_partitions(url: str, retention: timedelta) -> None:
    """Make the partitions of the coming days; delete old partitions, closed ranges and requests.

    Args:
        url: URL of the database.
        retention: age from which data is deleted.

    Raises:
        DatabaseUnavailable: try again.
    """
    with closing(PartitionStore(url, name="statesys partitions")) as store:
        made, dropped = store.keep(retention=retention)
        removed = store.forget(retention=retention)
    if made or dropped or removed:
        _log.info("loader.partitions_kept", made=made, dropped=dropped, rows_removed=removed)


def keep_totals(open_store: Callable[[], ResyncStore]) -> None:
    """Count the site's totals, if they are due.

    Args:
        open_store: opens a database connection.

    Raises:
        DatabaseUnavailable: try again.
    """
    with closing(open_store()) as store:
        counted = store.keep_totals(now=store.now(), interval=TOTALS_INTERVAL)
    if counted:
        _log.info("loader.totals_counted")


def keep_state_totals(open_store: Callable[[], ResyncStore]) -> None:
    """Count the clients in each state, if that is due.

    Args:
        open_store: opens a database connection.

    Raises:
        DatabaseUnavailable: try again.
    """
    with closing(open_store()) as store:
        counted = store.keep_state_totals(now=store.now(), interval=TOTALS_INTERVAL)
    if counted:
        _log.info("loader.state_totals_counted")


def evaluate_collections(open_store: Callable[[], CollectionStore], stop: threading.Event) -> None:
    """Evaluate the collections that are due; other loaders of the site take others.

    Args:
        open_store: opens a database connection.
        stop: set it to end after the collection in hand.

    Raises:
        DatabaseUnavailable: try again.
    """
    with closing(open_store()) as store:
        while not stop.is_set():
            found = store.evaluate_next(now=store.now(), interval=COLLECTION_INTERVAL)
            if found is None:
                return
            if found.problem is not None:
                _log.warning(
                    "loader.collection_not_evaluated", collection=found.name, reason=found.problem
                )
            elif found.joined or found.left:
                _log.info(
                    "loader.collection_evaluated",
                    collection=found.name,
                    joined=found.joined,
                    left=found.left,
                )
