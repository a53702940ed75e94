"""PostgreSQL for all parts: URLs read strictly, sessions with known settings, sorted errors.

Only this package imports psycopg. The SQL is with the code that uses it; the names of psycopg that
this code needs are exported here.
"""

from psycopg import IsolationLevel, sql
from psycopg.errors import CheckViolation
from psycopg.rows import args_row, scalar_row
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from runtime.database.errors import Deadlocked, PoisonError, StatementFailed
from runtime.database.pooling import require_own_sessions
from runtime.database.session import Connection, Session, own_session, shared_session
from runtime.database.tables import require_current_tables

__all__ = [
    "CheckViolation",
    "Connection",
    "Deadlocked",
    "IsolationLevel",
    "Multirange",
    "PoisonError",
    "Range",
    "Session",
    "StatementFailed",
    "args_row",
    "own_session",
    "require_current_tables",
    "require_own_sessions",
    "scalar_row",
    "shared_session",
    "sql",
]
