"""The quarantined clients in the database. The SQL is `quarantine.sql`."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from runtime.client_names import client_id_of
from runtime.database import require_current_tables, shared_session
from runtime.options import GivenClient
from runtime.statements import statements
from schemas.errors import StatesysError
from schemas.quarantine import MAX_QUARANTINED

_SQL = statements("loader", "quarantine.sql")
_CLAIM = statements("loader", "resync.sql")["claim_duty"]


class Quarantined(NamedTuple):
    """A quarantined client: since when (aware), who did it, and why."""

    client_id: UUID
    since: datetime
    by: str
    why: str


class QuarantineStore:
    """A connection for the quarantine.

    Args:
        url: URL of the database.
        name: name of the connection, shown in pg_stat_activity.

    Raises:
        DatabaseUnavailable: from every method; try again.
        SchemaMissing: from every method; the database is not migrated.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._session = shared_session(url, name, read_only=False)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def require_current_tables(self) -> None:
        """Check that the tables are of this version.

        Raises:
            SchemaMissing: the tables are not migrated to this version.
            StatesysError: a newer version made the tables.
        """
        require_current_tables(self._session)

    def client_id_of(self, given: GivenClient) -> UUID:
        """Return the id of the client that a person means; errors as in `runtime.client_names`."""
        return client_id_of(self._session, given)

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
            (now,) = self._session.execute("SELECT now()").fetchone() or (None,)
            assert isinstance(now, datetime)
            return now, [Quarantined(*row) for row in self._run("quarantined").fetchall()]

    def listed_if_due(self, *, interval: timedelta) -> list[UUID] | None:
        """The clients to tell the relays; None if a loader told them within the interval."""
        with self._session.transaction():
            (now,) = self._session.execute("SELECT now()").fetchone() or (None,)
            # Without some tolerance, a timer that fires early would skip every second interval.
            turn = {"name": "quarantine", "now": now, "interval": interval * 0.9}
            if self._session.execute(_CLAIM, turn).fetchone() is None:
                return None
            rows = self._run("listed", most=MAX_QUARANTINED).fetchall()
            return [client_id for (client_id,) in rows]

    def _run(self, statement: str, **values: Any) -> Any:
        return self._session.execute(_SQL[statement], values)
