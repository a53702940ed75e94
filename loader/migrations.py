"""Migrations: the files of `schemas/postgres`, each applied once, in order."""

from contextlib import closing
from importlib.resources import files

from loader.store.partitions import SCHEMA, PartitionStore
from runtime.database import own_session, require_own_sessions
from schemas.topics import catalogue

#: Key of the advisory lock: two migrations at a time would both find the same files unapplied.
_MIGRATION_LOCK = 7828379703


def migrate(url: str) -> list[str]:
    """Bring the database to the current schema; safe to run any number of times.

    Creates the schema `statesys`, applies the files that were not applied yet, brings the topic
    catalogue up to date, and makes the partitions of the next days.

    Returns:
        Names of the files applied now.

    Raises:
        DatabaseUnavailable: it cannot be reached, or refuses (a missing right to create, say).
    """
    require_own_sessions(url)
    with own_session(url, "statesys-migrate") as session, session.transaction() as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration "
            "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row[0] for row in connection.execute("SELECT name FROM migration")}
        applied = []
        for name, text in _files():
            if name not in done:
                connection.execute(text)
                connection.execute("INSERT INTO migration (name) VALUES (%s)", [name])
                applied.append(name)
        connection.execute("DELETE FROM topic_state")
        with connection.cursor().copy(
            "COPY topic_state (topic_type, topic_name, state_id, state_name) FROM STDIN"
        ) as copy:
            for row in catalogue():
                copy.write_row(row)
    with closing(PartitionStore(url, name="statesys-migrate")) as partitions:
        # A migration drops nothing: retention is the loaders' duty.
        partitions.make()
    return applied


def _files() -> list[tuple[str, str]]:
    found = files("schemas").joinpath("postgres").iterdir()
    return sorted((f.name, f.read_text(encoding="utf-8")) for f in found if f.name.endswith(".sql"))
