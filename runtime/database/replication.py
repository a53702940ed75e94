"""Commits that reached only one server, although another one should have them too.

With synchronous replication a commit waits for a standby. If that wait is cancelled (by a timeout,
`pg_cancel_backend` or the end of the session), PostgreSQL cannot undo the commit any more. It
reports success, and sends a WARNING before it. A failover then undoes what was reported.

The warning has the general SQLSTATE 01000, and its text is translated. It is told from other
warnings by having a detail and no context: what a function or trigger raises tells where, and what
an extension writes about a statement has no detail. (PostgreSQL 15: `SyncRepWaitForLSN` in
src/backend/replication/syncrep.c.)
"""

import psycopg
from psycopg.errors import Diagnostic

#: A warning without a code of its own; and one of a session that is ended.
_STATES = frozenset(("01000", "57P01"))


class CommitWarnings:
    """Whether a connection's server has said that a commit was not replicated.

    Args:
        connection: whose notices are read.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._seen = False
        connection.add_notice_handler(self._see)

    def taken(self) -> bool:
        """Whether there was such a warning since the last call."""
        seen, self._seen = self._seen, False
        return seen

    def _see(self, notice: Diagnostic) -> None:
        if (
            notice.severity_nonlocalized == "WARNING"
            and notice.sqlstate in _STATES
            and notice.context is None
            and notice.message_detail is not None
        ):
            self._seen = True
