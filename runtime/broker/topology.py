"""What every worker does before it takes or sends anything: make sure of queues and exchanges."""

import time
from collections.abc import Iterable
from contextlib import closing
from uuid import uuid4

import structlog

from runtime.broker.administration import Administration
from runtime.broker.connecting import persistent
from runtime.broker.session import Session
from schemas.topology import Queue

_log = structlog.get_logger()

#: Seconds for the broker's answer to what `require_write` sends.
_ANSWER_WITHIN = 5.0


def declare(url: str, queues: Iterable[Queue], *, name: str) -> str | None:
    """Create what is missing, and verify what exists.

    Args:
        url: of the broker.
        name: of the connection, and who it is for in the log.

    Returns:
        What remains unverified, in one sentence for the log and for health; None is nothing.

    Raises:
        TopologyWrong, BrokerUnavailable, PermissionMissing: as `Administration.declare`.
    """
    with Administration(url, name=name) as admin:
        unverified = admin.declare(queues)
    if not unverified:
        return None
    note = (
        f"topology not verified ({', '.join(unverified)}): this user may not configure it; "
        "`statesys topology check` verifies it for an installer"
    )
    _log.warning("worker.topology_not_verified", worker=name, why=note)
    return note


def require_write(url: str, *, name: str) -> None:
    """See that the broker is there, and lets the user publish to queues.

    RabbitMQ tells of a permission only to somebody who uses it. So a message goes to a queue that
    does not exist, and comes back. Under an alarm the broker does not answer a publisher: then
    nothing is known, and the worker finds out at work.

    Args:
        url: of the broker.
        name: of the connection.

    Raises:
        BrokerUnavailable: it cannot be reached.
        PermissionMissing: the user may not publish.
    """
    with closing(Session(url, name=name)) as session:
        nowhere = f"statesys.nowhere.{uuid4()}"
        session.publish(routing_key=nowhere, body=b"", properties=persistent(), token=None)
        deadline = time.monotonic() + _ANSWER_WITHIN
        while session.unconfirmed and session.blocked is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            session.poll(left)
