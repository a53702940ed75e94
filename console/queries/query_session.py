"""The session behind all queries: named statements in, rows out."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, NamedTuple, Self, TypeVar, cast
from uuid import UUID

from runtime.client_names import client_id_of
from runtime.database import (
    IsolationLevel,
    Session,
    args_row,
    require_current_tables,
    scalar_row,
    shared_session,
    sql,
)
from runtime.options import GivenClient
from runtime.rules import SiteRules
from runtime.site_settings import SiteSettings, site_settings
from runtime.statements import statements

#: Bytes of tables up to which rows are counted while the user waits (about a tenth of a second).
#: Beyond, rows are estimated, and totals are those that the loaders counted last.
COUNTED_BYTES = 128 * 1024 * 1024
#: Rows fetched at a time by the streams of `verify`.
STREAM_ROWS = 10_000

Row = TypeVar("Row", bound=tuple[Any, ...])


class Freshness(NamedTuple):
    """How new what a session reads is.

    Attributes:
        as_of: everything that was committed before this moment is there.
        standby: whether the server is a standby, which may lag.
        now: the time of the server's clock.
    """

    as_of: datetime
    standby: bool
    now: datetime


class QuerySession:
    """A session that runs the statements of this package by name.

    Raises:
        DatabaseUnavailable: from every method, when PostgreSQL is away or unwell.
        SchemaMissing: from every method, when the database is not migrated.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        # Of the snapshot in which queries read, if they read in one.
        self._freshness: Freshness | None = None
        self._rules: SiteRules | None = None

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
        """Inside, all queries read one snapshot of the database; the streams need it.

        A command that asks several times is quicker so, too: each transaction of its own costs
        three round trips more.
        """
        with self._session.transaction(isolation=IsolationLevel.REPEATABLE_READ) as connection:
            if self._freshness is not None:
                yield
                return
            # The caller reads a stream to its end: plan for all rows, not for the first. PostgreSQL
            # takes the snapshot at the first query, which is one of these at the latest.
            connection.execute(
                "SELECT set_config('cursor_tuple_fraction', '1', true), pg_current_snapshot()"
            )
            self._freshness = self.freshness()
            try:
                yield
            finally:
                self._freshness = self._rules = None

    def freshness(self) -> Freshness:
        """How new the data is; in a snapshot, that of the snapshot."""
        return self._freshness or self._all("freshness", Freshness)[0]

    def now(self) -> datetime:
        """The moment of what is read: the database's clock, unless a standby lags behind it.

        Ages and conditions are judged by it, so a standby tells what the primary told then.
        """
        return self.freshness().as_of

    def client_id_of(self, given: GivenClient) -> UUID:
        """Return the id of the client that a person means; errors as in `runtime.client_names`."""
        return client_id_of(self._session, given)

    def rules(self) -> SiteRules:
        """The site's rules, which all loaders follow: who is asked for a resync, and when."""
        rules = self._rules or self.site_settings().rules
        if self._freshness is not None:
            self._rules = rules
        return rules

    def site_settings(self) -> SiteSettings:
        """The row of the site: its rules, and what else was imported."""
        return site_settings(self._session)

    def _view(self, now: datetime | None, rules: SiteRules | None = None) -> dict[str, Any]:
        """The moment and the rules, as parameters of the functions in the database.

        They are values, not subqueries, so that PostgreSQL can inline such a function into the
        statement that calls it.
        """
        return {"now": now or self.now(), **(rules or self.rules()).ages}

    def _small(self, *tables: str, costly: int = 1) -> bool:
        """Whether rows of these tables are counted while the user waits.

        Args:
            costly: how many times as long as counting a row the question takes.
        """
        names = [f"statesys.{table}" for table in tables]
        return bool(self._scalars("bytes", tables=names)[0] <= COUNTED_BYTES // costly)

    def _all(self, name: str, row: type[Row], /, **parameters: Any) -> list[Row]:
        return self._rows_of(named_text(name), row, parameters)

    def _rows_of(
        self, query: Any, row: Callable[..., Row], parameters: dict[str, Any]
    ) -> list[Row]:
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


def all_of(names: Iterable[str]) -> sql.Composed:
    """The conditions of these names, joined by AND; true without any."""
    parts = (sql.SQL(named_text(name)) for name in names)
    return sql.SQL(" AND ").join([sql.SQL("true"), *parts])


def named_text(name: str) -> LiteralString:
    """The text of a statement."""
    # The files are part of the package and constant, so they are safe as LiteralStrings.
    return cast(LiteralString, _statements()[name].rstrip(";"))  # type: ignore[redundant-cast]
