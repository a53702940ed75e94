"""Wait until the work queues are empty, without taking a message out of them."""

import time
from collections.abc import Callable
from typing import NamedTuple

from lab.servers import Servers
from runtime.broker import Administration
from runtime.broker.management import queue_statistics
from runtime.broker.shards import count_shards
from schemas.topology import work

#: Seconds between two looks.
PAUSE = 0.2


class Backlog(NamedTuple):
    """Messages on their way: ready ones by queue, and unacked ones (None is unknown)."""

    ready: dict[str, int]
    unacked: int | None

    @property
    def empty(self) -> bool:
        """Whether no message is known to be on its way."""
        return not any(self.ready.values()) and not self.unacked

    def __str__(self) -> str:
        parts = [f"{count:,} ready in {name}" for name, count in self.ready.items() if count]
        if self.unacked:
            parts.append(f"{self.unacked:,} unacked")
        return ", ".join(parts) or "nothing"


def look(admin: Administration, servers: Servers) -> Backlog:
    """Return the messages on their way now. A queue that does not exist counts as empty."""
    queues = work(count_shards(admin))
    depths = {name: admin.depth(name) for name in queues}
    unacked: int | None = None
    if servers.management_url is not None:
        statistics = queue_statistics(servers.management_url, servers.amqp_url) or {}
        known = [statistics[name].unacked for name in queues if name in statistics]
        counts = [count for count in known if count is not None]
        unacked = sum(counts) if counts else None
    return Backlog({name: 0 if d is None else d.ready for name, d in depths.items()}, unacked)


def wait_until_empty(
    see: Callable[[], Backlog],
    *,
    deadline: float,
    pause: Callable[[float], object] = time.sleep,
) -> Backlog:
    """Poll until the backlog is empty or the time is up; return the last backlog.

    Args:
        see: returns the current backlog.
        deadline: by `time.monotonic`.
        pause: waits the given seconds.
    """
    while True:
        backlog = see()
        if backlog.empty or time.monotonic() >= deadline:
            return backlog
        pause(PAUSE)
