"""The session behind all queries: named statements in, rows out."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, Self, TypeVar, cast
from uuid import UUID

from runtime.client_names import client_id_of
from runtime.database import (
    IsolationLevel,
    Session,
    args_row,
    require_current_tables,
    scalar_row,
    shared_session,
)
from runtime.options import GivenClient
from runtime.rules import SiteRules, site_rules
from runtime.statements import statements

#: Bytes of tables up to which rows are counted while the user waits (about a tenth of a second).
#: Beyond, rows are estimated, and totals are those that the loaders counted last.
COUNTED_BYTES = 128 * 1024 * 1024
#: Rows fetched at a time by the streams of `verify`.
STREAM_ROWS = 10_000

Row = TypeVar("Row", bound=tuple[Any, ...])


class Asking:
    """A session that runs the statements of this package by name.

    Raises:
        DatabaseUnavailable: from every method, when PostgreSQL is away or unwell.
        SchemaMissing: from every method, when the database is not migrated.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    @contextmanager
    def open(cls, url: str, *, name: str) -> Iterator[Self]:
        """Connect, read only; use as a context manager.

        Args:
            name: `application_name`.

        Raises:
            SettingsError: the URL cannot be used.
            SchemaMissing: the tables are not migrated to this version.
            StatesysError: a newer version made them.
        """
        # No timeouts: a console command may wait for a lock, and between two rows of a stream.
        waits = {"lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
        with shared_session(url, name, different=waits) as session, session.translated():
            require_current_tables(session)
            yield cls(session)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Inside, all queries read one snapshot of the database; the streams need it."""
        with self._session.transaction(isolation=IsolationLevel.REPEATABLE_READ) as connection:
            # The caller reads a stream to its end: plan for all rows, not for the first.
            connection.execute("SET LOCAL cursor_tuple_fraction = 1")
            # PostgreSQL takes the snapshot at the first query, which is this one.
            connection.execute("SELECT pg_current_snapshot()")
            yield

    def now(self) -> datetime:
        """The time of the database's clock."""
        (found,) = self._first("now")
        assert isinstance(found, datetime)
        return found

    def client_id_of(self, given: GivenClient) -> UUID:
        """Return the id of the client that a person means; errors as in `runtime.client_names`."""
        return client_id_of(self._session, given)

    def rules(self) -> SiteRules:
        """The site's rules, which all loaders follow: who is asked for a resync, and when."""
        return site_rules(self._session)

    def _view(self, now: datetime | None, rules: SiteRules | None = None) -> dict[str, Any]:
        """The moment and the rules, as parameters of the functions in the database.

        They are values, not subqueries, so that PostgreSQL can inline such a function into the
        statement that calls it.
        """
        return {"now": now or self.now(), **(rules or self.rules()).ages}

    def _small(self, *tables: str) -> bool:
        names = [f"statesys.{table}" for table in tables]
        return bool(self._scalars("bytes", tables=names)[0] <= COUNTED_BYTES)

    def _all(self, name: str, row: type[Row], /, **parameters: Any) -> list[Row]:
        return self._rows_of(named_text(name), row, parameters)

    def _rows_of(self, query: Any, row: type[Row], parameters: dict[str, Any]) -> list[Row]:
        with (
            self._session.transaction() as connection,
            connection.cursor(row_factory=args_row(row)) as cursor,
        ):
            return cursor.execute(query, parameters).fetchall()

    def _scalars(self, name: str, /, **parameters: Any) -> list[Any]:
        with (
            self._session.transaction() as connection,
            connection.cursor(row_factory=scalar_row) as cursor,
        ):
            return cursor.execute(named_text(name), parameters).fetchall()

    def _first(self, name: str, **parameters: Any) -> Any:
        """The first row as a tuple; None without rows."""
        with self._session.transaction() as connection:
            return connection.execute(named_text(name), parameters).fetchone()

    def _stream(self, name: str, row: type[Row]) -> Iterator[Row]:
        with self._session.connection.cursor(name, row_factory=args_row(row)) as cursor:
            cursor.itersize = STREAM_ROWS
            yield from cursor.execute(named_text(name), binary=True)


@cache
def _statements() -> dict[str, str]:
    """Every statement of the .sql files of this package; a name belongs to one of them."""
    found: dict[str, str] = {}
    for file in sorted(
        f.name for f in files("console.queries").iterdir() if f.name.endswith(".sql")
    ):
        named = statements("console.queries", file)
        assert not named.keys() & found.keys(), file
        found.update(named)
    return found


def named_text(name: str) -> LiteralString:
    """The text of a statement."""
    # The files are part of the package and constant, so they are safe as LiteralStrings.
    return cast(LiteralString, _statements()[name].rstrip(";"))  # type: ignore[redundant-cast]
