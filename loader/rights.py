"""Checks the rights of a database role before they are needed. The SQL is `rights.sql`."""

from typing import Literal

from runtime.database import Session, own_session, require_current_tables
from runtime.statements import statements
from schemas.errors import DatabaseUnavailable

_SQL = statements("loader", "rights.sql")


def require_place_to_load(url: str) -> None:
    """Check that the tables are of this version and that the role has all rights of a loader.

    Args:
        url: URL of the database.

    Raises:
        StatesysError: a newer statesys made the tables.
        SchemaMissing: the tables are not migrated to this version.
        DatabaseUnavailable: the database cannot be reached, or the role lacks a right.
    """
    with own_session(url, "statesys loader") as session:
        require_current_tables(session)
        require_rights(session, "loader")


def require_rights(session: Session, whose: Literal["loader", "migration"]) -> None:
    """Check that the role has all rights.

    Raises:
        DatabaseUnavailable: the role lacks some; the message names all of them.
    """
    with session.transaction() as connection:
        lacking = [right for (right,) in connection.execute(_SQL[whose])]
    if lacking:
        raise DatabaseUnavailable(
            f"PostgreSQL at {session.where}: role {session.role!r} lacks {', '.join(lacking)}; "
            "grant it, or check the user of STATESYS_DATABASE_URL"
        )
