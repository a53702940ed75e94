"""Copy the tables that decide about resync requests out of a running site."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import urlsplit

import psycopg

from loader.migrations import migrate

#: The history is copied only as far as it may belong to an answer to an open request.
_COPIED = {
    "site": "FROM site",
    "client": "FROM client",
    "missing_message_range": "FROM missing_message_range",
    "resync_request": "FROM resync_request",
    "state_message": (
        "FROM state_message h WHERE EXISTS (SELECT FROM resync_request r "
        "WHERE r.client_id = h.client_id AND r.closed_at IS NULL "
        "AND h.serial BETWEEN r.first_serial AND r.last_serial)"
    ),
}
#: All columns but generated ones, which the target computes itself.
_COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = %s::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""
_OPTIONS = "-c search_path=statesys"


def copy_rules(source: str, target: str) -> datetime:
    """Replace the tables of a migrated database by those of a site, read in one snapshot.

    Returns:
        The moment of the snapshot.
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
            (columns,) = to_there.execute(_COLUMNS, [table]).fetchone() or (None,)
            with (
                from_there.cursor().copy(
                    f"COPY (SELECT {columns} {query}) TO STDOUT".encode()
                ) as rows,
                to_there.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copied,
            ):
                for row in rows:
                    copied.write(row)
    return moment


@contextmanager
def copied_rules(source: str) -> Iterator[str]:
    """Create such a copy on the same server, yield its URL, and drop it at the end."""
    target = urlsplit(source)._replace(path="/copied").geturl()
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS copied WITH (FORCE)")
        connection.execute("CREATE DATABASE copied")
        migrate(target)
        copy_rules(source, target)
        yield target
        connection.execute("DROP DATABASE copied WITH (FORCE)")
