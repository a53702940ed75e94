"""Drop the oldest day while a long reader holds a lock on it and the loaders work."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

from lab.bench.tables import partitions, reading
from lab.bench.workers import Event
from loader.tasks import keep_partitions
from runtime.workers.retry import until_available
from schemas.errors import StatesysError

#: Seconds that the retention task has for the drop once the reader has gone.
_PATIENCE = 60.0


class Drop(NamedTuple):
    """How the drop of the oldest day went.

    Attributes:
        began, ended: when (seconds since 1970); the reader was there first.
        read: seconds of that time for which the reader stayed.
        tries: how often the task tried; it gives up a lock after a second and tries again.
        partitions: names of the dropped ones.
    """

    began: float
    ended: float
    read: float
    tries: int
    partitions: list[str]


class Stall(NamedTuple):
    """The longest waits in a period, in seconds; None when no chunk was loaded in it.

    Attributes:
        gap: the longest time between two commits, of any loader threads.
        chunk: the longest that one chunk took, waiting for locks included.
    """

    gap: float | None
    chunk: float | None


class Disturbance(NamedTuple):
    """A drop, and how it affected the loaders.

    Attributes:
        before, during: the longest waits before and during the drop.
        complete: loading went on until the partition was gone.
        troubles: warnings and errors in the logs of relays and loaders.
    """

    drop: Drop
    before: Stall
    during: Stall
    complete: bool
    troubles: int


def drop_behind_reader(url: str, *, after: float, hold: float, retention: timedelta) -> Drop:
    """Run the loader's retention task while a reader holds a snapshot of the history.

    Args:
        url: of the database.
        after: seconds to wait first.
        hold: seconds that the reader stays while the task tries.
        retention: older days are dropped.

    Raises:
        StatesysError: the drop is not done a minute after the reader has gone.
    """
    time.sleep(after)
    before, tries, stop = partitions(url), 0, threading.Event()

    def keep() -> None:
        nonlocal tries
        tries += 1
        keep_partitions(url, retention)

    with ThreadPoolExecutor(1, "partitions") as pool:
        try:
            with reading(url):
                began = time.time()
                # Retries after a lock timeout, as the task's own thread does.
                dropping = pool.submit(until_available(stop, "partitions"), keep)
                time.sleep(hold)
                left = time.time()
            dropping.result(_PATIENCE)
        except TimeoutError:
            raise StatesysError(
                f"the oldest partition was not dropped in {_PATIENCE:.0f} s"
            ) from None
        finally:
            stop.set()
    ended = time.time()
    return Drop(began, ended, left - began, tries, sorted(before - partitions(url)))


def disturbance(drop: Drop, loader: Sequence[Event], relay: Sequence[Event]) -> Disturbance:
    """Combine a drop with the log events of the workers."""
    chunks = [event for event in loader if event.name == "loader.chunk_loaded"]
    return Disturbance(
        drop=drop,
        # Only chunks that ended before the drop: a stall that the drop caused belongs to it.
        before=_stall([event for event in chunks if event.at < drop.began], 0.0, drop.began),
        during=_stall(chunks, drop.began, drop.ended),
        complete=any(event.at >= drop.ended for event in chunks),
        troubles=sum(event.trouble for event in (*loader, *relay)),
    )


def _stall(chunks: Sequence[Event], first: float, last: float) -> Stall:
    """The longest waits of a period; one that only overlaps it counts too."""
    ends = sorted(event.at for event in chunks)
    gaps = [b - a for a, b in pairwise(ends) if b >= first and a <= last]
    took = [e.seconds for e in chunks if e.at >= first and e.at - e.seconds <= last]
    return Stall(max(gaps, default=None), max(took, default=None))
