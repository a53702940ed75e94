"""The one place in the console that writes to PostgreSQL: a clean slate for the demo.

The demo works in the database that all other commands use, so that its result can be looked at
with them. What keeps it from eating somebody's data is a mark: a comment on the schema names the
fleet whose demo filled it.
"""

from typing import NamedTuple

from console.queries.queries import Queries
from console.queries.rows import ForeignData
from runtime.database import own_session, sql
from schemas.topology import is_reply_queue

_NAME = "statesys demo"
_MARK = "filled by `statesys demo`, fleet "
#: Milliseconds to wait for whoever uses the tables at the moment.
_LOCK_TIMEOUT = "10000"


class Holder(NamedTuple):
    """Whose data is in a database.

    Attributes:
        foreign: what is no demo's.
        fleet: reply queue of the last demo's fleet; None when no demo filled it.
    """

    foreign: ForeignData
    fleet: str | None


def holder(url: str) -> Holder:
    """Whose data is in a database, migrated or not."""
    with Queries.open(url, name=_NAME, of_any_version=True) as queries:
        if not queries.migrated():
            return Holder(ForeignData(0, history=False), None)
        mark = queries.mark() or ""
        name = mark.removeprefix(_MARK)
        fleet = name if mark != name and is_reply_queue(name) else None
        return Holder(queries.foreign_data(fleet), fleet)


def empty(url: str, *, reply_queue: str) -> None:
    """Remove all clients and their messages, and mark the database as the demo's.

    Args:
        url: of a migrated database.
        reply_queue: names the fleet that will fill it.

    Raises:
        DatabaseUnavailable: somebody holds the tables.
    """
    with (
        own_session(url, _NAME, different={"lock_timeout": _LOCK_TIMEOUT}) as session,
        session.transaction() as connection,
    ):
        connection.execute(
            "TRUNCATE statesys.client, statesys.state_message, statesys.current_state, "
            "statesys.missing_message_range, statesys.resync_request, statesys.duty, "
            "statesys.site_totals"
        )
        connection.execute(
            sql.SQL("COMMENT ON SCHEMA statesys IS {}").format(sql.Literal(_MARK + reply_queue))
        )
