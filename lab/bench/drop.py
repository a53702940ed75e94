"""The oldest day is dropped behind a long reader, in the middle of a load."""

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

#: Seconds that the duty has for the dropping once nobody reads any more.
_PATIENCE = 60.0


class Drop(NamedTuple):
    """What became of the oldest day.

    Attributes:
        began, ended: of the dropping (seconds since 1970); the reader was there first.
        read: seconds of it for which the reader stayed.
        tries: of the duty; it gives up a lock after a second and comes again.
        partitions: that are gone.
    """

    began: float
    ended: float
    read: float
    tries: int
    partitions: list[str]


class Stall(NamedTuple):
    """The worst of a time, in seconds; None when no chunk was loaded in it.

    Attributes:
        gap: between two commits, whichever loader thread made them.
        chunk: that one chunk took, its waiting for locks included.
    """

    gap: float | None
    chunk: float | None


class Disturbance(NamedTuple):
    """A drop, and what the loaders felt of it.

    Attributes:
        complete: loading went on until the partition was gone.
        troubles: warnings and errors in the logs of relays and loaders.
    """

    drop: Drop
    before: Stall
    during: Stall
    complete: bool
    troubles: int


def drop_behind_reader(url: str, *, after: float, hold: float, retention: timedelta) -> Drop:
    """Do the loader's duty of retention while a session has read the history and is still there.

    Args:
        url: of the database.
        after: seconds to wait first.
        hold: seconds that the reader stays while the duty tries.
        retention: older days are dropped.

    Raises:
        StatesysError: the duty is not done a minute after the reader has gone.
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
                # As the duty's own thread does it: given up for a lock, tried again.
                duty = pool.submit(until_available(stop, "partitions"), keep)
                time.sleep(hold)
                left = time.time()
            duty.result(_PATIENCE)
        except TimeoutError:
            raise StatesysError(
                f"the oldest partition was not dropped in {_PATIENCE:.0f} s"
            ) from None
        finally:
            stop.set()
    ended = time.time()
    return Drop(began, ended, left - began, tries, sorted(before - partitions(url)))


def disturbance(drop: Drop, loader: Sequence[Event], relay: Sequence[Event]) -> Disturbance:
    """Set a drop beside what the workers said."""
    chunks = [event for event in loader if event.name == "loader.chunk_loaded"]
    return Disturbance(
        drop=drop,
        # Only what was over by then: a stall that the drop made is none of the time before.
        before=_stall([event for event in chunks if event.at < drop.began], 0.0, drop.began),
        during=_stall(chunks, drop.began, drop.ended),
        complete=any(event.at >= drop.ended for event in chunks),
        troubles=sum(event.trouble for event in (*loader, *relay)),
    )


def _stall(chunks: Sequence[Event], first: float, last: float) -> Stall:
    """What reaches into the time counts, though it began before or ended after."""
    ends = sorted(event.at for event in chunks)
    gaps = [b - a for a, b in pairwise(ends) if b >= first and a <= last]
    took = [e.seconds for e in chunks if e.at >= first and e.at - e.seconds <= last]
    return Stall(max(gaps, default=None), max(took, default=None))
