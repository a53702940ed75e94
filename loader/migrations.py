"""Migrates the database: applies each file of `schemas/postgres` once, in order."""

from contextlib import closing, suppress
from typing import LiteralString

from loader.rights import require_rights
from loader.store.partitions import SCHEMA, PartitionStore
from runtime.database import (
    Connection,
    Deadlocked,
    Session,
    own_session,
    require_own_sessions,
)
from schemas import tables
from schemas.errors import StatesysError
from schemas.topics import catalogue

#: Key of the advisory lock; two migrations at the same time would apply the same files.
_MIGRATION_LOCK = 7828379703
#: The oldest PostgreSQL version that is tested, as `server_version_num`.
_OLDEST = 150_000
#: Tables that loaders lock: first the one with which a check for due clients begins, then those of
#: a chunk, in its order.
_LOCKED_BY_LOADERS = (
    *("duty", "client", "state_message", "current_state"),
    *("missing_message_range", "resync_request"),
)
#: Tries beside loaders that run on; each ends after PostgreSQL's `deadlock_timeout`, a second.
_TRIES = 20


def migrate(url: str) -> list[str]:
    """Migrate the database to the current schema; safe to repeat.

    Creates the schema `statesys`, applies the files that were not applied yet, updates the topic
    catalogue, and makes the partitions of the next days.

    Args:
        url: URL of the database.

    Returns:
        The names of the files applied now.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or refuses a statement (because of a
            missing right, for example).
        StatesysError: a loader cannot use this database, or a newer statesys made the tables.
    """
    require_own_sessions(url)
    with own_session(url, "statesys-migrate") as session:
        applied = _migrate_beside_loaders(session)
    with closing(PartitionStore(url, name="statesys-migrate")) as partitions:
        # A migration drops no partition: a loader's periodic task does that.
        partitions.make()
    return applied


def _migrate_beside_loaders(session: Session) -> list[str]:
    """Migrate, also while loaders run that should have been stopped.

    A loader may hold a table that a file locks, and wait for one that an earlier file has locked.
    PostgreSQL then ends one of the two. A loader tries again; so does this, with the tables of
    loaders locked before anything else, in their order, so that no work is lost a second time.
    """
    for tried in range(_TRIES):
        with suppress(Deadlocked):
            return _migrate(session, lock_first=tried > 0)
    return _migrate(session, lock_first=True)


def _migrate(session: Session, *, lock_first: bool) -> list[str]:
    with session.transaction() as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
        _require_usable(connection)
        if lock_first:
            for table in _LOCKED_BY_LOADERS:
                connection.execute(f"LOCK TABLE {SCHEMA}.{table} IN ACCESS EXCLUSIVE MODE")
        applied = _apply(session, connection)
        _bring_topics_up_to_date(connection)
        return applied


def _apply(session: Session, connection: Connection) -> list[str]:
    """Apply the files that were not applied yet; only then is a right to create needed."""
    begun = _exists(connection, "to_regclass", f"{SCHEMA}.migration")
    done = {row[0] for row in connection.execute("SELECT name FROM migration")} if begun else set()
    todo = tables.unapplied(done)
    if not todo:
        return []
    require_rights(session, "migration")
    if not _exists(connection, "to_regnamespace", SCHEMA):
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
    if not begun:
        connection.execute(
            "CREATE TABLE migration "
            "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
    connection.execute(tables.granting())
    for name, text in todo:
        connection.execute(text)
        connection.execute("INSERT INTO migration (name) VALUES (%s)", [name])
    connection.execute("DROP FUNCTION grant_as, grant_to_holders")
    return [name for name, _ in todo]


def _bring_topics_up_to_date(connection: Connection) -> None:
    """Replace the topic catalogue if it changed."""
    found = connection.execute(
        "SELECT topic_type, topic_name, state_id, state_name FROM topic_state"
    )
    if set(found) == set(catalogue()):
        return
    connection.execute("DELETE FROM topic_state")
    with connection.cursor().copy(
        "COPY topic_state (topic_type, topic_name, state_id, state_name) FROM STDIN"
    ) as copy:
        for row in catalogue():
            copy.write_row(row)


def _require_usable(connection: Connection) -> None:
    """Check, before anything is changed, that a loader can use this database.

    Raises:
        StatesysError: the encoding or the version is wrong, or the schema has other tables.
    """
    row = connection.execute(
        "SELECT current_setting('server_encoding'), current_setting('server_version_num')::int,"
        " current_database(),"
        " EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace(%s))"
        " AND to_regclass(%s) IS NULL",
        [SCHEMA, f"{SCHEMA}.migration"],
    ).fetchone()
    assert row is not None
    encoding, version, database, foreign = row
    if encoding != "UTF8":
        raise StatesysError(
            f"database {database!r} has the encoding {encoding}, and names of clients need UTF8; "
            "make another: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0 "
            "LOCALE 'C.UTF-8'"
        )
    if version < _OLDEST:
        raise StatesysError(
            f"PostgreSQL {version // 10_000} is too old: {_OLDEST // 10_000} or newer is needed"
        )
    if foreign:
        raise StatesysError(
            f"the schema {SCHEMA} of database {database!r} holds tables of another program: "
            "use a database of its own"
        )


def _exists(connection: Connection, look_up: LiteralString, name: str) -> bool:
    row = connection.execute(f"SELECT {look_up}(%s) IS NOT NULL", [name]).fetchone()
    return row == (True,)
