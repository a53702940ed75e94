"""Queues and exchanges as data: the one table everything that declares or publishes reads."""

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
#: The queues whose messages are on their way into the database.
WORK = (REPORTS, *INCOMING.values())
_REPLY_QUEUE = re.compile(r"statesys\.resync\.[0-9a-f]{8}")

#: Returns of one delivery before the broker dead-letters it. A return counts for everything that
#: was outstanding, so the number is large: the limit is the last resort, not the way out.
DELIVERY_LIMIT = 1000
#: RabbitMQ 3.10 takes -1 for "drop at the first requeue", so "never" is the largest int32.
NO_DELIVERY_LIMIT = 2**31 - 1


class Queue(NamedTuple):
    """A durable quorum queue. Its arguments are part of its identity and never change."""

    name: str
    carries: str
    arguments: dict[str, str | int]
    exchange: str | None = None


_WORK: dict[str, str | int] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
    "x-dead-letter-strategy": "at-least-once",
    # At-least-once dead lettering asks for it; and a publisher must hear of a full queue.
    "x-overflow": "reject-publish",
}
_LASTING: dict[str, str | int] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": NO_DELIVERY_LIMIT,
}

QUEUES = (
    Queue(REPORTS, "reports of clients", _WORK, exchange=REPORTS),
    Queue(INCOMING[Lane.HIGH], "batches of priority 0 and 1", _WORK),
    Queue(INCOMING[Lane.NORMAL], "batches", _WORK),
    Queue(INCOMING[Lane.LOW], "batches of priority 10 and resync answers", _WORK),
    Queue(RESYNC, "resync requests for senders that name no queue", _LASTING),
    # RabbitMQ 4 would otherwise delete a dead letter after 20 looks.
    Queue(DEAD, "refused reports and poison", _LASTING),
)


def reply_queue(store_id: UUID) -> Queue:
    """The queue on which the fleet of one store is asked."""
    return Queue(f"{RESYNC}.{store_id.hex[:8]}", "resync requests for one fleet", _LASTING)


def is_reply_queue(name: str) -> bool:
    """Whether a `reply_to` is honoured: nobody makes the loader write into another queue."""
    return _REPLY_QUEUE.fullmatch(name) is not None
