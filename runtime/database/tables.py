"""Whether the tables of a database are those that this version knows."""

from runtime.database.session import Session
from schemas.tables import require_current

_APPLIED = "SELECT name FROM statesys.applied_migration"


def require_current_tables(session: Session) -> None:
    """Refuse tables of another version, before anything uses them.

    Raises:
        StatesysError: a newer statesys made the tables.
        SchemaMissing: there are no tables, or they are not migrated to this version.
        DatabaseUnavailable: the role may not use the schema.
    """
    with session.transaction() as connection:
        applied = [name for (name,) in connection.execute(_APPLIED)]
    require_current(applied)
