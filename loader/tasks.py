"""The loader's periodic duties, each on its own thread, none of them in the way of loading."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import structlog

from loader.store import PartitionStore, ResyncStore
from runtime.workers import HeartbeatFile
from runtime.workers.retry import until_available
from schemas.errors import BrokerUnavailable, DatabaseUnavailable, SchemaMissing

_log = structlog.get_logger()

#: Partitions are made a week ahead; an hour's delay is nothing.
PARTITION_INTERVAL = timedelta(hours=1)
#: Totals are counted once in this time, by any loader. They cost a look at each client.
TOTALS_INTERVAL = timedelta(hours=1)
#: How often a loader looks whether it is time to: another that counted may have ended since.
TOTALS_TRIED = timedelta(minutes=5)


class PeriodicTask(threading.Thread):
    """Does one thing at once and then on its interval, until `stop` is set.

    What it does may tell that it is worth doing sooner: after which time, or None.
    A server that is away is waited for; the loader does not end because of it.
    `at_end` is called once when it has stopped; a server that is away then does not matter.
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
        """Run until stopped."""
        next_at = time.monotonic()
        try:
            while not self._stop_event.wait(max(0.0, next_at - time.monotonic())):
                next_at = time.monotonic() + self._every
                wait = until_available(self._stop_event, self.name, self._heartbeat)(self._act)
                if wait is not None:
                    next_at = min(next_at, time.monotonic() + wait.total_seconds())
                self._heartbeat.settle(self.name)
            if self._at_end is not None:
                self._at_end()
        except (BrokerUnavailable, DatabaseUnavailable, SchemaMissing):
            # Only when stopping.
            pass
        except Exception as error:  # noqa: BLE001 (the service re-raises it in the main thread)
            self.failure = error


def make_partitions(url: str) -> None:
    """Make the coming days' partitions, and leave the old ones to `keep_partitions`.

    Dropping waits for long readers (a dump, a report); the first chunk must not.

    Raises:
        DatabaseUnavailable: try again.
    """
    with closing(PartitionStore(url, name="statesys partitions")) as store:
        store.make()


def keep_partitions(url: str, retention: timedelta) -> None:
    """Make the coming days' partitions, drop the old ones, forget what was closed long ago.

    Raises:
        DatabaseUnavailable: try again.
    """
    with closing(PartitionStore(url, name="statesys partitions")) as store:
        made, dropped = store.keep(retention=retention)
        removed = store.forget(retention=retention)
    if made or dropped or removed:
        _log.info("loader.partitions_kept", made=made, dropped=dropped, rows_removed=removed)


def keep_totals(open_store: Callable[[], ResyncStore]) -> None:
    """Count the site's totals, if it is time to.

    Raises:
        DatabaseUnavailable: try again.
    """
    with closing(open_store()) as store:
        counted = store.keep_totals(now=store.now(), interval=TOTALS_INTERVAL)
    if counted:
        _log.info("loader.totals_counted")
