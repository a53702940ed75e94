"""Queues, exchanges and permissions: every worker checks them before it begins."""

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import NamedTuple
from uuid import uuid4

from runtime.broker.administration import Administration
from runtime.broker.connecting import persistent
from runtime.broker.events import Message
from runtime.broker.session import Session
from runtime.broker.shards import count_shards
from schemas.errors import PermissionMissing
from schemas.topology import Queue

#: Seconds to wait for the broker's answer to the message of `require_write`.
_ANSWER_WITHIN = 5.0


class Declared(NamedTuple):
    """What a worker knows after it has declared its queues.

    Attributes:
        shards: how many the site has.
        note: for log and heartbeat file; it names what is unverified, and which queue is missing
            that no message depends on. None for nothing.
    """

    shards: int
    note: str | None


def declare(url: str, queues: Callable[[int], Iterable[Queue]], *, name: str) -> Declared:
    """Create the queues and exchanges that are missing, and verify those that exist.

    Args:
        url: of the broker.
        queues: gives the worker's queues for a number of shards.
        name: of the connection, and of the worker in the log.

    Raises:
        TopologyWrong, BrokerUnavailable: as `Administration.declare`.
        PermissionMissing: a queue that the worker needs is missing, and the user may not create it.
    """
    unverified: list[str] = []
    missing: list[str] = []
    with Administration(url, name=name) as admin:
        shards = count_shards(admin)
        for queue in queues(shards):
            try:
                unverified += admin.declare([queue])
            except PermissionMissing:
                if queue.needed:
                    raise
                missing.append(f"queue '{queue.name}'")
    notes = []
    if unverified:
        # Shards share their exchanges.
        names = ", ".join(dict.fromkeys(unverified))
        notes.append(
            f"topology not verified ({names}): this user may not configure it; "
            "`statesys topology check` verifies it for an installer"
        )
    if missing:
        notes.append(
            f"{' and '.join(missing)} missing, and this user may not create it; "
            "`statesys topology check` creates it for an installer"
        )
    if not notes:
        return Declared(shards, None)
    note = "; ".join(notes)
    # Imported late: the console reads queues without a log.
    import structlog  # noqa: PLC0415

    structlog.get_logger().warning("worker.topology_not_verified", worker=name, why=note)
    return Declared(shards, note)


def require_write(url: str, *, name: str) -> None:
    """Check that the broker is there, and that the user may publish to queues.

    RabbitMQ checks a permission only when it is used. So a message is published to a queue that
    does not exist, and comes back. During an alarm the broker does not answer publishers: the
    check then ends without a result.

    Args:
        url: of the broker.
        name: of the connection.

    Raises:
        BrokerUnavailable: the broker cannot be reached.
        PermissionMissing: the user may not publish.
    """
    with closing(Session(url, name=name)) as session:
        nowhere = f"statesys.nowhere.{uuid4()}"
        session.publish(Message(nowhere, b"", persistent(), token=None))
        deadline = time.monotonic() + _ANSWER_WITHIN
        while session.unconfirmed and session.blocked is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            session.poll(left)
