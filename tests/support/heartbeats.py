"""Heartbeats of workers that do not exist."""

from datetime import UTC, datetime
from uuid import UUID

from schemas.counts import Counts
from schemas.workers import Counters, Role, WorkerHeartbeat

WHEN = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def beat(
    worker_id: UUID,
    uptime: float,
    *,
    role: Role = Role.RELAY,
    ended: bool = False,
    settings: dict[str, str] | None = None,
    counts: dict[str, int] | None = None,
    **counters: int,
) -> WorkerHeartbeat:
    """A heartbeat of some worker."""
    return WorkerHeartbeat(
        worker_id=worker_id,
        role=role,
        host="host-1",
        pid=17,
        version="0.1.0",
        started_at=WHEN,
        uptime=uptime,
        ended=ended,
        settings=settings or {},
        counters=Counters(**counters),
        counts=Counts(counts or {}),
    )
