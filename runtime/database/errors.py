"""psycopg's errors, sorted by what must happen next; their messages say what to do.

Only the SQLSTATE decides, because PostgreSQL translates its texts. No message repeats a text that
could hold a secret of the URL.

=========================  ==============================================================
`PoisonError`              some row is refused for its values: find it, dead-letter it
`SchemaMissing`            an operator has to migrate the database
`StatementFailed`          this statement failed; others may pass on the same connection
`Deadlocked`               the same, because of another transaction: begin again
`DatabaseUnavailable`      connect anew, and try again
=========================  ==============================================================
"""

from collections.abc import Iterable

import psycopg

from schemas.errors import DatabaseUnavailable, SchemaMissing, StatesysError

#: SQLSTATE 22xxx data exception, 23502 not null, 54000 program limit (an index row too large).
#: The list of poison is short on purpose: an error that is not about one message must not
#: dead-letter it. Such errors are a missing partition (23514 too, but without the name of a
#: constraint), a full disk, a missing grant.
_POISON_CLASSES, _POISON_STATES = ("22",), ("23502", "54000")
_CONSTRAINT_CLASS = "23"
#: Keys of our tables. A loader looks before it inserts, while it holds the client's lock. If the
#: key exists nevertheless, it was inserted without that lock, and the next try sees it.
OUR_KEYS = frozenset(
    (
        "client_pkey",
        "current_state_pkey",
        "missing_message_range_pkey",
        "missing_message_range_open",
        "resync_request_pkey",
    )
)
_NOT_ALLOWED = "42501"
_READ_ONLY = "25006"
#: Of a transaction that only reads, as most of ours, it means a conflict with recovery.
_CONFLICT = "40001"
_DEADLOCK = "40P01"
_MISSING_OBJECT = ("42P01", "3F000", "42703", "42704", "42883")
#: A prepared statement of the session is missing, or exists already.
_LOST_SESSION = ("26000", "42P05")
#: Errors after which the connection is still usable: constraints, deadlocks, locks and triggers, a
#: full disk, a cancelled statement. All others may be about the connection: the server became
#: read-only, shuts down or has no memory left for it, or a plan is of tables that were replaced.
_STATEMENT_CLASSES, _STATEMENT_STATES = ("23", "40", "55", "P0"), ("53100", "57014")


class StatementFailed(DatabaseUnavailable):
    """A statement failed on a connection that works; statements on other rows may succeed."""


class Deadlocked(StatementFailed):
    """PostgreSQL ended this transaction because it and another one waited for each other."""


class PoisonError(StatementFailed):
    """PostgreSQL will always refuse this data: some message of the chunk is poison.

    Callers that load no messages treat it like any other failed statement.
    """


def translated(error: psycopg.Error, where: str) -> StatesysError:
    """Translate the error of a statement into one of ours.

    Args:
        error: of psycopg.
        where: host and port.
    """
    state, words = error.sqlstate or "", _words(error)
    if _is_poison(error, state):
        return PoisonError(f"SQLSTATE {state}: {words}")
    if state in _MISSING_OBJECT:
        return SchemaMissing(
            f"the database at {where} is not migrated to this version, or was changed since "
            f"({words}); run `statesys loader migrate`, or undo the change"
        )
    told = f"PostgreSQL at {where}: {words} {state}".rstrip()
    if state in _LOST_SESSION:
        return DatabaseUnavailable(
            f"{told}; a pooler in transaction mode may stand before it, with which a loader "
            "cannot work: use one in session mode, or none"
        )
    if state == _NOT_ALLOWED:
        return DatabaseUnavailable(f"{told}; give that right to the user of STATESYS_DATABASE_URL")
    if state == _READ_ONLY:
        told += (
            "; it is a standby or set to read-only: point STATESYS_DATABASE_URL at the server that "
            "is written to (of several hosts, target_session_attrs=read-write finds it)"
        )
    if state == _CONFLICT:
        told += (
            "; a standby ends a statement that reads what the primary has removed: try again, or "
            "set hot_standby_feedback there"
        )
    if not state:
        told += "; start it (`statesys up`) or point STATESYS_DATABASE_URL at one that runs"
    return _kind(state)(told)


def _kind(state: str) -> type[DatabaseUnavailable]:
    """Whose fault it is: the other transaction's, this statement's, or the connection's."""
    if state == _DEADLOCK:
        return Deadlocked
    if state.startswith(_STATEMENT_CLASSES) or state in _STATEMENT_STATES:
        return StatementFailed
    return DatabaseUnavailable


def unreachable(error: psycopg.Error, where: str, secrets: Iterable[str]) -> DatabaseUnavailable:
    """The error for a failed connect: no server answers, or it refuses us."""
    words = _words(error)
    for secret in secrets:
        words = words.replace(secret, "***")
    return DatabaseUnavailable(
        f"PostgreSQL at {where}: {words}; start it (`statesys up`), or check STATESYS_DATABASE_URL"
    )


def not_replicated(where: str) -> DatabaseUnavailable:
    """The error for a commit whose wait for a standby was cancelled."""
    return DatabaseUnavailable(
        f"PostgreSQL at {where}: the wait for its standby was cancelled, so what was committed is "
        "on this server alone, and a failover would undo it; try again when a standby follows"
    )


def _is_poison(error: psycopg.Error, state: str) -> bool:
    return (
        state.startswith(_POISON_CLASSES)
        or state in _POISON_STATES
        or (
            state.startswith(_CONSTRAINT_CLASS)
            and error.diag.constraint_name not in (None, *OUR_KEYS)
        )
    )


def _words(error: psycopg.Error) -> str:
    """PostgreSQL's message, or libpq's without the address of each server that it tried."""
    primary = error.diag.message_primary
    if primary:
        return " ".join(primary.split())
    # libpq writes one line for each server that it tried, and hints between them.
    lines = str(error).splitlines()
    tried = [line for line in lines if " failed: " in line] or lines[:1]
    reasons = [line.rpartition(" failed: ")[2].strip() for line in tried]
    return "; ".join(dict.fromkeys(filter(None, reasons))) or type(error).__name__
