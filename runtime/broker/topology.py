"""What every worker does before it takes or sends anything: make sure of queues and exchanges."""

from collections.abc import Iterable

import structlog

from runtime.broker.administration import Administration
from schemas.topology import Queue

_log = structlog.get_logger()


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
    with Administration(url, name=name) as desk:
        unverified = desk.declare(queues)
    if not unverified:
        return None
    note = (
        f"topology not verified ({', '.join(unverified)}): this user may not configure it; "
        "`statesys topology check` verifies it for an installer"
    )
    _log.warning("worker.topology_not_verified", worker=name, why=note)
    return note
