"""What the loader's periodic tasks do; each has a thread of its own, which delays no loading."""

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import structlog

from loader.store.collections import CollectionStore
from loader.store.partitions import PartitionStore
from loader.store.resyncs import ResyncStore

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


def keep_totals(open_store: Callable[[], ResyncStore], *, states: bool = False) -> None:
    """Count the site's totals, if they are due.

    Args:
        open_store: opens a database connection.
        states: count the clients in each state instead.

    Raises:
        DatabaseUnavailable: try again.
    """
    with closing(open_store()) as store:
        keep = store.keep_state_totals if states else store.keep_totals
        counted = keep(now=store.now(), interval=TOTALS_INTERVAL)
    if counted:
        _log.info("loader.state_totals_counted" if states else "loader.totals_counted")


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
