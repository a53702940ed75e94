"""Whether a pooler gives each transaction another server connection."""

from contextlib import closing

import psycopg

from runtime.database.errors import translated
from runtime.database.session import open_connection
from runtime.database.url import parsed
from schemas.errors import DatabaseUnavailable

#: A pid alone may be that of another server's process, behind a balancer for instance. From
#: functions and not from a view: whatever timeouts a role has are in force here.
_PROCESS = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_postmaster_start_time()::text"


def require_own_sessions(url: str) -> None:
    """Refuse a pooler in transaction mode: a loader's temporary table would vanish between.

    Two connections that are open at a time and have one server process between them share it.
    Nothing has been set on it by then.

    Raises:
        DatabaseUnavailable: they share one, or there is no connection.
        SettingsError: the URL cannot be used.
    """
    target, name = parsed(url), "statesys pooler check"
    try:
        with closing(open_connection(target, name)) as one:
            first = one.execute(_PROCESS).fetchone()
            with closing(open_connection(target, name)) as other:
                second = other.execute(_PROCESS).fetchone()
    except psycopg.Error as error:
        raise translated(error, target.where) from None
    if first == second:
        raise DatabaseUnavailable(
            f"PostgreSQL at {target.where}: a pooler there gives each transaction another "
            "session, with which a loader cannot work; use one in session mode, or none"
        )
