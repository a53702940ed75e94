"""PostgreSQL for every stage: a strict URL, sessions with settings of their own, errors in words.

The only package that imports psycopg. The SQL stays with those who ask it; what they need of
psycopg to write it is handed on here.
"""

from psycopg import IsolationLevel, sql
from psycopg.errors import CheckViolation
from psycopg.rows import args_row, scalar_row, tuple_row
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from runtime.database.errors import PoisonError, StatementFailed
from runtime.database.pooling import require_own_sessions
from runtime.database.session import Connection, Session, own_session, shared_session
from runtime.database.tables import require_current_tables

__all__ = [
    "CheckViolation",
    "Connection",
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
    "tuple_row",
]
