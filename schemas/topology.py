"""Queues and exchanges as data: the only source for all code that declares or publishes."""

import re
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
#: The queues whose messages are on their way into the database.
WORK = (REPORTS, *INCOMING.values())
_REPLY_QUEUE = re.compile(r"statesys\.resync\.[0-9a-f]{8}")

#: Returns of one message before the broker dead-letters it. When a channel closes, the broker
#: counts a return for every message outstanding on it, so the number is large: workers dead-letter
#: bad messages themselves, and the limit is the last resort.
DELIVERY_LIMIT = 1000
#: RabbitMQ 3.10 takes -1 for "drop at the first requeue", so "never" is the largest int32.
NO_DELIVERY_LIMIT = 2**31 - 1


#: Heartbeats that `statesys.workers` keeps while no loader reads it; then the oldest are dropped.
MAX_HEARTBEATS = 10_000


class Queue(NamedTuple):
    """A durable quorum queue. Its arguments are part of its identity and never change.

    Attributes:
        needed: a worker ends if the queue is missing and it may not create it. No state message
            depends on the other queues, so a worker goes on without them.
    """

    name: str
    carries: str
    arguments: dict[str, str | int]
    exchange: str | None = None
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


QUEUES = (
    Queue(REPORTS, "reports of clients", _WORK, exchange=REPORTS),
    Queue(INCOMING[Lane.HIGH], "batches of priority 0 and 1", _WORK),
    Queue(INCOMING[Lane.NORMAL], "batches", _WORK),
    Queue(INCOMING[Lane.LOW], "batches of priority 10 and resync answers", _WORK),
    Queue(RESYNC, "resync requests for senders that name no queue", _LASTING),
    # RabbitMQ 4 would otherwise delete a dead letter after 20 returns, and `dead list` returns it.
    Queue(DEAD, "refused reports and poison", _LASTING),
    Queue(WORKERS, "heartbeats of relays and loaders", _newest(MAX_HEARTBEATS), needed=False),
    Queue(QUARANTINE, "the list of quarantined clients", _newest(1), needed=False),
)


def reply_queue(store_id: UUID) -> Queue:
    """The queue for resync requests to the fleet of one store."""
    return Queue(f"{RESYNC}.{store_id.hex[:8]}", "resync requests for one fleet", _LASTING)


def is_reply_queue(name: str) -> bool:
    """Whether a name has our form: a sender cannot make the loader write to another queue."""
    return _REPLY_QUEUE.fullmatch(name) is not None
