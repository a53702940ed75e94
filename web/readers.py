"""Sessions that requests read the database with: few, kept open, read only, bounded in time."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from console.queries import Queries
from console.queries.activity import ActivityQueries
from console.queries.collections import CollectionQueries
from console.queries.compliance import ComplianceQueries
from runtime.database import Session, require_current_tables, shared_session
from schemas.errors import DatabaseUnavailable

#: Seconds that a request waits for a session before it is refused.
_WAIT = 5
#: Requests that wait for a session at most; each holds a thread that other pages need.
_MOST_WAITING = 16


class SiteQueries(Queries, ComplianceQueries, CollectionQueries, ActivityQueries):
    """Every question of the console, over one session."""


class Readers:
    """A bounded number of read-only sessions, which requests share.

    Args:
        url: of the database.
        sessions: how many requests read at the same time at most.
        timeout: milliseconds after which PostgreSQL ends a statement.
    """

    def __init__(self, url: str, *, sessions: int, timeout: int) -> None:
        self._url = url
        self._waits = {"statement_timeout": str(timeout), "lock_timeout": "1000"}
        self._free = threading.BoundedSemaphore(sessions)
        self._lock = threading.Lock()
        self._idle: list[Session] = []
        self._waiting = 0

    @contextmanager
    def snapshot(self) -> Iterator[SiteQueries]:
        """Queries that all read one snapshot of the database.

        Raises:
            DatabaseUnavailable: PostgreSQL is away or unwell, a statement took too long, or every
                session is busy.
            SchemaMissing: the database is not migrated.
        """
        if not self._free.acquire(blocking=False) and not self._wait():
            raise DatabaseUnavailable("every session of the viewer is busy; try again")
        with ExitStack() as stack:
            stack.callback(self._free.release)
            session = self._take()
            stack.callback(self._give_back, session)
            queries = SiteQueries(session)
            stack.enter_context(queries.snapshot())
            yield queries

    def close(self) -> None:
        """Close the idle sessions."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _wait(self) -> bool:
        """Wait for a session, unless many do already; whether it is ours."""
        with self._lock:
            if self._waiting >= _MOST_WAITING:
                return False
            self._waiting += 1
        try:
            return self._free.acquire(timeout=_WAIT)
        finally:
            with self._lock:
                self._waiting -= 1

    def _take(self) -> Session:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        session = shared_session(self._url, "statesys web", different=self._waits)
        try:
            require_current_tables(session)
        except BaseException:
            session.close()
            raise
        return session

    def _give_back(self, session: Session) -> None:
        if session.broken:
            return
        with self._lock:
            self._idle.append(session)
