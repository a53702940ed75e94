"""What every store on a connection that a pooler may share can do."""

from datetime import datetime
from typing import cast
from uuid import UUID

from runtime.client_names import client_id_of
from runtime.database import require_current_tables, shared_session
from runtime.options import GivenClient


class SharedStore:
    """A connection for one kind of rows.

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

    def now(self) -> datetime:
        """Return the database's time (timezone-aware), the clock of the moments in its tables."""
        with self._session.transaction():
            row = self._session.execute("SELECT now()").fetchone()
            assert row is not None
            return cast(datetime, row[0])

    def client_id_of(self, given: GivenClient) -> UUID:
        """Return the id of the client that a person means; errors as in `runtime.client_names`."""
        return client_id_of(self._session, given)
