"""What every store on a connection that a pooler may share can do."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar, cast
from uuid import UUID

from runtime.client_names import client_id_of
from runtime.database import require_current_tables, shared_session
from runtime.options import GivenClient
from runtime.statements import statements

_DUTIES = statements("loader", "resync.sql")


class SharedStore:
    """A connection for one kind of rows; a subclass names its statements in `_sql`.

    Args:
        url: URL of the database.
        name: name of the connection, shown in pg_stat_activity.

    Raises:
        DatabaseUnavailable: from every method; try again.
        SchemaMissing: from every method; the database is not migrated.
    """

    #: The statements of the subclass, by name.
    _sql: ClassVar[Mapping[str, str]]

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

    def _run(self, statement: str, /, **values: Any) -> Any:
        return self._session.execute(self._sql[statement], values)

    def _take_turn(self, task: str, *, now: datetime, interval: timedelta) -> bool:
        """Take the turn of a task that one loader does for the site, in the task's transaction.

        Args:
            task: its name in the table `duty`.
            now: timezone-aware.
            interval: for this long, no other loader gets the turn.

        Returns:
            Whether this loader is to do the task; False if a loader did it within the interval.
        """
        # Without some tolerance, a timer that fires early would skip every second interval.
        values = {"name": task, "now": now, "interval": interval * 0.9}
        return self._session.execute(_DUTIES["take_turn"], values).fetchone() is not None


Store = TypeVar("Store", bound=SharedStore)


@contextmanager
def checked(store: Store) -> Iterator[Store]:
    """Use a store after a check of the tables, and close it; errors as `require_current_tables`."""
    with closing(store):
        store.require_current_tables()
        yield store
