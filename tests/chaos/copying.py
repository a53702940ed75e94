"""The tables that the rules of who is asked read, copied away from a site that lives on."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import urlsplit

import psycopg

from loader.migrations import migrate

#: Of the history only what may be a part of an answer that is on its way.
_COPIED = {
    "site": "SELECT * FROM site",
    "client": "SELECT * FROM client",
    "missing_message_range": "SELECT * FROM missing_message_range",
    "resync_request": "SELECT * FROM resync_request",
    "state_message": (
        "SELECT h.* FROM state_message h JOIN resync_request r USING (client_id) "
        "WHERE r.closed_at IS NULL AND h.serial BETWEEN r.first_serial AND r.last_serial"
    ),
}
_OPTIONS = "-c search_path=statesys"


def copy_rules(source: str, target: str) -> datetime:
    """Make another migrated database what this one is at one moment, as far as the rules look.

    Returns:
        The moment.
    """
    with (
        psycopg.connect(source, options=_OPTIONS) as from_there,
        psycopg.connect(target, options=_OPTIONS) as to_there,
    ):
        from_there.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        (moment,) = from_there.execute("SELECT now()").fetchone() or (None,)
        assert isinstance(moment, datetime)
        for table, query in _COPIED.items():
            to_there.execute(f"DELETE FROM {table}".encode())
            with (
                from_there.cursor().copy(f"COPY ({query}) TO STDOUT".encode()) as rows,
                to_there.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copied,
            ):
                for row in rows:
                    copied.write(row)
    return moment


@contextmanager
def copied_rules(source: str) -> Iterator[str]:
    """Such a database beside the one that is copied, for a while."""
    target = urlsplit(source)._replace(path="/copied").geturl()
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS copied WITH (FORCE)")
        connection.execute("CREATE DATABASE copied")
        migrate(target)
        copy_rules(source, target)
        yield target
        connection.execute("DROP DATABASE copied WITH (FORCE)")
