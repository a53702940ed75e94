"""Heartbeats of workers that do not exist."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from runtime.workers import read_heartbeats
from schemas.counts import Counts
from schemas.workers import Counters, Role, WorkerHeartbeat
from tests.support.waiting import wait_until

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


def await_next_file(home: Path, role: Role) -> None:
    """Wait until the only worker of a role writes its heartbeat file again."""

    def written() -> float:
        (heartbeat,) = read_heartbeats(home, role.value)
        return float(heartbeat["written"])

    last = written()
    wait_until(lambda: written() > last, what=f"the next heartbeat file of the {role.value}")
