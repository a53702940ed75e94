"""Whether a pooler gives each transaction another server connection."""

from contextlib import closing

import psycopg

from runtime.database.errors import translated
from runtime.database.session import open_connection
from runtime.database.url import parsed
from schemas.errors import DatabaseUnavailable

#: The start time is there because two servers, behind a balancer for instance, can use one pid.
#: Functions are quicker than a view: the role's timeouts still apply here.
_PROCESS = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_postmaster_start_time()::text"


def require_own_sessions(url: str) -> None:
    """Refuse a pooler in transaction mode: a loader's temporary table would vanish.

    Two connections are opened at the same time; behind such a pooler both may get one server
    process. Neither has set anything by then.

    Raises:
        DatabaseUnavailable: both got one server process, or a connection failed.
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
