"""The quarantined clients in the database. The SQL is `quarantine.sql`."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from loader.store.shared import SharedStore
from runtime.statements import statements
from schemas.errors import StatesysError
from schemas.quarantine import MAX_QUARANTINED


class Quarantined(NamedTuple):
    """A quarantined client: since when (aware), who did it, and why."""

    client_id: UUID
    since: datetime
    by: str
    why: str


class QuarantineStore(SharedStore):
    """A connection for the quarantine."""

    _sql = statements("loader", "quarantine.sql")

    def quarantine(self, client_id: UUID, *, by: str, why: str) -> bool:
        """Put a client into quarantine.

        Returns:
            False if it is there already.

        Raises:
            StatesysError: the list is full.
        """
        values = {"client_id": client_id, "by": by, "why": why, "most": MAX_QUARANTINED}
        with self._session.transaction():
            self._run("lock")
            if self._run("quarantine", **values).fetchone() is not None:
                return True
            if self._run("holds", client_id=client_id).fetchone() is None:
                raise StatesysError(
                    f"{MAX_QUARANTINED:,} clients are in quarantine, and there is no place for "
                    "more; release some first"
                )
            return False

    def release(self, client_id: UUID) -> bool:
        """Take a client out of quarantine; False if it is not there."""
        with self._session.transaction():
            self._run("lock")
            return self._run("release", client_id=client_id).fetchone() is not None

    def all(self) -> tuple[datetime, list[Quarantined]]:
        """The database's time, and all quarantined clients, oldest first."""
        with self._session.transaction():
            return self.now(), [Quarantined(*row) for row in self._run("quarantined").fetchall()]

    def listed_if_due(self, *, interval: timedelta) -> list[UUID] | None:
        """The clients to tell the relays; None if a loader told them within the interval."""
        with self._session.transaction():
            if not self._take_turn("quarantine", now=self.now(), interval=interval):
                return None
            rows = self._run("listed", most=MAX_QUARANTINED).fetchall()
            return [client_id for (client_id,) in rows]
