"""Rights that are looked for before they are used. The SQL is `rights.sql`."""

from typing import Literal

from runtime.database import Session, own_session, require_current_tables
from runtime.statements import statements
from schemas.errors import DatabaseUnavailable

_SQL = statements("loader", "rights.sql")


def require_place_to_load(url: str) -> None:
    """Refuse tables and a role with which a loader would get stuck sooner or later.

    Raises:
        StatesysError: a newer statesys made the tables.
        SchemaMissing: the tables are not migrated to this version.
        DatabaseUnavailable: there is no connection, or a right is lacking.
    """
    with own_session(url, "statesys loader") as session:
        require_current_tables(session)
        require_rights(session, "loader")


def require_rights(session: Session, whose: Literal["loader", "migration"]) -> None:
    """Name all rights that are lacking.

    Raises:
        DatabaseUnavailable: there are some.
    """
    with session.transaction() as connection:
        lacking = [right for (right,) in connection.execute(_SQL[whose])]
    if lacking:
        raise DatabaseUnavailable(
            f"PostgreSQL at {session.where}: role {session.role!r} lacks {', '.join(lacking)}; "
            "grant it, or check the user of STATESYS_DATABASE_URL"
        )
