"""A connection of the loader's, and errors sorted by what must happen next."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from runtime.settings import unusable_database_url
from schemas.errors import DatabaseUnavailable, SchemaMissing, StatesysError

SCHEMA = "statesys"
#: Session settings. A transaction of ours lasts milliseconds; these bounds end what hangs. With a
#: partition for each day of the retention a plan looks so costly that PostgreSQL would compile it
#: to machine code in each chunk, which takes a hundred times as long as running it.
_OPTIONS = (
    f"-c search_path={SCHEMA} -c timezone=UTC "
    "-c idle_in_transaction_session_timeout=30s -c lock_timeout=60s -c jit=off"
)
#: Seconds.
_CONNECT_TIMEOUT = 10

#: SQLSTATE 22xxx data exception, 23502 not null, 54000 program limit (an index row too large).
_POISON_CLASSES, _POISON_STATES = ("22",), ("23502", "54000")
_CONSTRAINT_CLASS = "23"
_NOT_ALLOWED = "42501"
_MISSING_OBJECT = ("42P01", "3F000", "42703", "42704")


class PoisonError(StatesysError):
    """PostgreSQL refuses this data, today and tomorrow: some message of the chunk is poison."""

    def __init__(self, sqlstate: str, words: str) -> None:
        super().__init__(f"SQLSTATE {sqlstate}: {words}")


def connect(url: str, name: str, *, autocommit: bool = False) -> psycopg.Connection:
    """Open a connection.

    Args:
        url: `postgresql://…`.
        name: application_name, shown in pg_stat_activity.
        autocommit: for statements that cannot run in a transaction.

    Raises:
        DatabaseUnavailable: it cannot be reached, or refuses us.
        SettingsError: the URL cannot be used.
    """
    try:
        return psycopg.connect(
            url,
            application_name=name,
            options=_OPTIONS,
            autocommit=autocommit,
            connect_timeout=_CONNECT_TIMEOUT,
            # Rows are rendered as UTF-8, whatever PGCLIENTENCODING or the database say.
            client_encoding="UTF8",
            # A host that vanished is noticed within a minute, not in hours.
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=60_000,
        )
    except psycopg.ProgrammingError:
        raise unusable_database_url() from None
    except psycopg.Error as error:
        raise DatabaseUnavailable(
            f"PostgreSQL: {_words(error)}; start it (`statesys up`) "
            "or point STATESYS_DATABASE_URL at one that runs"
        ) from None


@contextmanager
def translated() -> Iterator[None]:
    """Let no psycopg error out: poison, or a database that is away or unwell.

    The list of poison is short on purpose. Everything that is not about one message (a missing
    partition is 23514 too, but without a constraint's name; a full disk; a missing grant) must
    never cost a message its place: the chunk is kept and tried again.
    """
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or ""
        poison = (
            state.startswith(_POISON_CLASSES)
            or state in _POISON_STATES
            or (state.startswith(_CONSTRAINT_CLASS) and error.diag.constraint_name is not None)
        )
        if poison:
            raise PoisonError(state, _words(error)) from None
        if state in _MISSING_OBJECT:
            raise SchemaMissing(
                f"the database is not migrated ({_words(error)}); run `statesys loader migrate`"
            ) from None
        words = f"PostgreSQL: {_words(error)} {state}".rstrip()
        if state == _NOT_ALLOWED:
            words += "; give that right to the user of STATESYS_DATABASE_URL"
        raise DatabaseUnavailable(words) from None


def _words(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error) or type(error).__name__).split())
