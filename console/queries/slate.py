"""The one place in the console that writes to PostgreSQL: a clean slate for the demo.

The demo works in the database that all other commands use, so that its result can be looked at
with them. What keeps it from eating somebody's data is a mark: a comment on the schema names the
fleet whose demo filled it.
"""

import re

from psycopg import sql

from console.queries.connecting import connected
from console.queries.queries import Queries

_NAME = "statesys demo"
_MARK = re.compile(r"filled by `statesys demo`, fleet (statesys\.resync\.[0-9a-f]{8})")
#: Seconds to wait for whoever uses the tables at the moment.
_LOCK_TIMEOUT = 10


def holder(url: str) -> tuple[int, str | None]:
    """Whose data is in the database.

    Returns:
        Clients that are no demo's, and the reply queue of the demo's fleet (None: no demo ran).
    """
    with Queries.open(url, name=_NAME) as queries:
        if not queries.migrated():
            return 0, None
        found = _MARK.fullmatch(queries.mark() or "")
        fleet = found[1] if found else None
        return queries.foreign_clients(fleet), fleet


def empty(url: str, *, reply_queue: str) -> None:
    """Remove all clients and their messages, and mark the database as the demo's.

    Args:
        url: of a migrated database.
        reply_queue: names the fleet that will fill it.

    Raises:
        DatabaseUnavailable: somebody holds the tables.
    """
    with connected(url, name=_NAME, read_only=False) as connection, connection.transaction():
        connection.execute(
            sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{_LOCK_TIMEOUT}s"))
        )
        connection.execute(
            "TRUNCATE statesys.client, statesys.state_message, statesys.current_state, "
            "statesys.missing_message_range, statesys.resync_request, statesys.duty"
        )
        connection.execute(
            sql.SQL("COMMENT ON SCHEMA statesys IS {}").format(
                sql.Literal(f"filled by `statesys demo`, fleet {reply_queue}")
            )
        )
