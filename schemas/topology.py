"""Queues and exchanges as data: the only source for all code that declares or publishes.

The work queues of a site may be cut into shards, when one queue is too hot for its leader. Shard 0
is the queues that every site has; the queues of shard k end with `.k`.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple
from uuid import UUID

from schemas.report import Lane

#: Clients publish reports to this exchange; it has the name of the queue behind it.
REPORTS = "mp_relayendpoint"
RESYNC = "statesys.resync"
DEAD = "statesys.dead"
INCOMING = {
    Lane.HIGH: "statesys.incoming.high",
    Lane.NORMAL: "statesys.incoming",
    Lane.LOW: "statesys.incoming.low",
}
#: Heartbeats of relays and loaders, for the loaders to store.
WORKERS = "statesys.workers"
#: The list of quarantined clients, for the relays.
QUARANTINE = "statesys.quarantine"
#: The most shards that a site may have; a worker consumes four queues for each.
MAX_SHARDS = 16
_SHARD = re.compile(
    rf"(?:{re.escape(REPORTS)}|{'|'.join(map(re.escape, INCOMING.values()))})"
    r"(?:\.([1-9]|1[0-5]))?"
)
_REPLY_QUEUE = re.compile(r"statesys\.resync\.[0-9a-f]{8}")

#: Returns of one message before the broker dead-letters it. When a channel closes, the broker
#: counts a return for every message outstanding on it, so the number is large: workers dead-letter
#: bad messages themselves, and the limit is the last resort.
DELIVERY_LIMIT = 1000
#: RabbitMQ 3.10 takes -1 for "drop at the first requeue", so "never" is the largest int32.
NO_DELIVERY_LIMIT = 2**31 - 1


#: Heartbeats that `statesys.workers` keeps while no loader reads it; then the oldest are dropped.
MAX_HEARTBEATS = 10_000


class Exchange(NamedTuple):
    """A durable exchange.

    Attributes:
        key: of the bindings to what is behind it.
        before: the exchange that it is bound to itself.
    """

    name: str
    key: str
    kind: str = "direct"
    arguments: tuple[tuple[str, str], ...] = ()
    before: "Exchange | None" = None


class Queue(NamedTuple):
    """A durable quorum queue. Its arguments are part of its identity and never change.

    Attributes:
        exchange: the one that it is bound to.
        needed: a worker ends if the queue is missing and it may not create it. No state message
            depends on the other queues, so a worker goes on without them.
    """

    name: str
    carries: str
    arguments: dict[str, str | int]
    exchange: Exchange | None = None
    needed: bool = True


_WORK: dict[str, str | int] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
    "x-dead-letter-strategy": "at-least-once",
    # At-least-once dead lettering needs it, and it tells the publisher that a queue is full.
    "x-overflow": "reject-publish",
}
_LASTING: dict[str, str | int] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": NO_DELIVERY_LIMIT,
}


def _newest(count: int) -> dict[str, str | int]:
    """Arguments of a queue that keeps the newest messages and drops older ones."""
    return {**_LASTING, "x-max-length": count, "x-overflow": "drop-head"}


PUBLISHED = Exchange(REPORTS, REPORTS)
#: Behind the exchange of clients once there are shards. It chooses by the client, so that the
#: reports of one client go one way, through the same relay and loaders; those without the header
#: all go to one shard. Each queue is bound once, with weight 1: RabbitMQ loses a queue from the
#: ring when one of its two bindings is removed.
SPREAD = Exchange(
    "statesys.shards",
    "1",
    kind="x-consistent-hash",
    arguments=(("hash-header", "client_id"),),
    before=PUBLISHED,
)
#: Leaders of new queues go to the nodes with the fewest: on one node, shards would gain nothing.
_SHARD_WORK = {**_WORK, "x-queue-leader-locator": "balanced"}
_CARRIES = {
    REPORTS: "reports of clients",
    INCOMING[Lane.HIGH]: "batches of priority 0 and 1",
    INCOMING[Lane.NORMAL]: "batches",
    INCOMING[Lane.LOW]: "batches of priority 10 and resync answers",
}
_OTHERS = (
    Queue(RESYNC, "resync requests for senders that name no queue", _LASTING),
    # RabbitMQ 4 would otherwise delete a dead letter after 20 returns, and `dead list` returns it.
    Queue(DEAD, "refused reports and poison", _LASTING),
    Queue(WORKERS, "heartbeats of relays and loaders", _newest(MAX_HEARTBEATS), needed=False),
    Queue(QUARANTINE, "the list of quarantined clients", _newest(1), needed=False),
)


def in_shard(queue: str, shard: int) -> str:
    """The name of a work queue's part in a shard."""
    return f"{queue}.{shard}" if shard else queue


def report_queues(shards: int) -> tuple[Queue, ...]:
    """The queues of reports, with their exchanges."""
    exchange = SPREAD if shards > 1 else PUBLISHED
    return tuple(_in_shards(REPORTS, shards, exchange))


def queues(shards: int = 1) -> tuple[Queue, ...]:
    """All queues of a site with so many shards, except the reply queues of fleets."""
    batches = (queue for lane in INCOMING.values() for queue in _in_shards(lane, shards))
    return (*report_queues(shards), *batches, *_OTHERS)


def _in_shards(name: str, shards: int, exchange: Exchange | None = None) -> Iterator[Queue]:
    for shard in range(shards):
        arguments = _SHARD_WORK if shard else _WORK
        yield Queue(in_shard(name, shard), _CARRIES[name], arguments, exchange)


#: The queues of a site without shards.
QUEUES = queues()


def reports(shards: int) -> list[str]:
    """Names of the queues of reports."""
    return [in_shard(REPORTS, shard) for shard in range(shards)]


def incoming(shards: int) -> list[str]:
    """Names of the queues of batches, the most urgent first."""
    return [in_shard(lane, shard) for lane in INCOMING.values() for shard in range(shards)]


def work(shards: int) -> list[str]:
    """Names of the queues whose messages are on their way into the database."""
    return [*reports(shards), *incoming(shards)]


def shard_of(name: str) -> int | None:
    """The shard of a work queue; None for every other name."""
    found = _SHARD.fullmatch(name)
    return None if found is None else int(found[1] or 0)


@cache
def batches_of(queue: str, lane: Lane) -> str:
    """The queue for batches of a lane with reports from a queue: they stay in their shard."""
    return in_shard(INCOMING[lane], shard_of(queue) or 0)


def is_reports(name: str) -> bool:
    """Whether a queue carries reports."""
    return shard_of(name) is not None and name.startswith(REPORTS)


def is_incoming(name: str) -> bool:
    """Whether a queue carries batches."""
    return shard_of(name) is not None and not name.startswith(REPORTS)


def reply_queue(store_id: UUID) -> Queue:
    """The queue for resync requests to the fleet of one store."""
    return Queue(f"{RESYNC}.{store_id.hex[:8]}", "resync requests for one fleet", _LASTING)


def is_reply_queue(name: str) -> bool:
    """Whether a name has our form: a sender cannot make the loader write to another queue."""
    return _REPLY_QUEUE.fullmatch(name) is not None
