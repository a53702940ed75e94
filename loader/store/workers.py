"""The workers of the site in the database. The SQL is `workers.sql`."""

import json
from collections.abc import Iterable
from uuid import UUID

from loader.store.shared import SharedStore
from runtime.statements import statements
from schemas.workers import Counters, WorkerHeartbeat


class WorkerStore(SharedStore):
    """A connection for heartbeats of workers."""

    _sql = statements("loader", "workers.sql")

    def fold(self, heartbeats: Iterable[WorkerHeartbeat]) -> None:
        """Store heartbeats, in one transaction; repeated ones change nothing."""
        # By id: two loaders that store heartbeats at the same time lock rows in the same order.
        newest = sorted(_newest(heartbeats).values(), key=lambda one: one.worker_id)
        with self._session.transaction():
            for one in newest:
                values = one._asdict() | one.counters._asdict()
                values["settings"] = json.dumps(one.settings)
                values["counts"] = json.dumps(one.counts)
                values["role"] = one.role.value
                del values["counters"]
                self._run("fold", **values)

    def retire(self) -> None:
        """Remove workers that have not been seen for a week; their counters stay in the sums."""
        with self._session.transaction():
            self._run("retire")


def _newest(heartbeats: Iterable[WorkerHeartbeat]) -> dict[UUID, WorkerHeartbeat]:
    """The newest heartbeat of each worker, with the largest counters of all."""
    found: dict[UUID, WorkerHeartbeat] = {}
    for one in heartbeats:
        other = found.get(one.worker_id, one)
        newer = max(one, other, key=lambda heartbeat: heartbeat.uptime)
        counters = Counters(*map(max, zip(one.counters, other.counters, strict=True)))
        counts = one.counts | other.counts
        ended = one.ended or other.ended
        found[one.worker_id] = newer._replace(counters=counters, counts=counts, ended=ended)
    return found
