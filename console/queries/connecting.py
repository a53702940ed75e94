"""A connection that only reads, and psycopg's errors in the project's words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from runtime.settings import unusable_database_url
from schemas.errors import DatabaseUnavailable, SchemaMissing

Connection = psycopg.Connection[Any]

#: Seconds to wait for PostgreSQL to answer a new connection.
CONNECT_TIMEOUT = 10

#: How libpq begins when a server answered, and did not want us.
_REFUSED = "FATAL:"
_NOT_MIGRATED = (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName)


@contextmanager
def connected(url: str, *, name: str, read_only: bool = True) -> Iterator[Connection]:
    """A connection in autocommit, closed at the end.

    Args:
        url: of the database.
        name: `application_name`, shown in `pg_stat_activity`.
        read_only: PostgreSQL refuses everything that writes.

    Raises:
        SettingsError: the URL cannot be used.
        DatabaseUnavailable: nobody answers, or PostgreSQL refuses us.
        SchemaMissing: a statement inside met a database that is not migrated.
    """
    where = _where(url)
    with (
        told(where),
        psycopg.connect(
            url, autocommit=True, application_name=name, connect_timeout=CONNECT_TIMEOUT
        ) as connection,
    ):
        connection.execute("SET timezone = 'UTC'")
        if read_only:
            connection.execute("SET default_transaction_read_only = on")
        yield connection


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn psycopg's errors into ours: one sentence that says what to do."""
    try:
        yield
    except _NOT_MIGRATED as error:
        raise SchemaMissing(
            f"the database at {where} is not migrated ({_words(error)}); "
            "run `statesys loader migrate`"
        ) from None
    except errors.InsufficientPrivilege as error:
        raise DatabaseUnavailable(
            f"PostgreSQL at {where}: {_words(error)}; give that right to the user "
            "of STATESYS_DATABASE_URL"
        ) from None
    except psycopg.Error as error:
        words = _words(error)
        do = (
            "check STATESYS_DATABASE_URL"
            if words.startswith(_REFUSED)
            else "start it (`statesys up`) or point STATESYS_DATABASE_URL at one that runs"
        )
        raise DatabaseUnavailable(f"PostgreSQL at {where}: {words}; {do}") from None


def _where(url: str) -> str:
    """Host and port, never the password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise unusable_database_url() from None
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}"


def _words(error: psycopg.Error) -> str:
    """PostgreSQL's words, or the reason in libpq's, which repeat the address and add questions."""
    primary = error.diag.message_primary
    if primary:
        return primary
    first = str(error).strip().split("\n", 1)[0]
    return first.rpartition(" failed: ")[2] or type(error).__name__
