"""Whether the tables of a database are those that this version knows."""

from runtime.database.session import Session
from schemas.tables import require_current

_APPLIED = "SELECT name FROM statesys.applied_migration"


def require_current_tables(session: Session) -> None:
    """Refuse tables of another version, before anything is asked of them.

    Raises:
        StatesysError: a newer statesys made them.
        SchemaMissing: they were not migrated to this version, or there are none.
        DatabaseUnavailable: the role may not use the schema.
    """
    with session.transaction() as connection:
        applied = [name for (name,) in connection.execute(_APPLIED)]
    require_current(applied)
