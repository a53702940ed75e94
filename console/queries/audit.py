"""One method for each query of `audit.sql`: who changed something through the viewer."""

from datetime import datetime
from typing import NamedTuple

from console.queries.query_session import QuerySession


class AuditRow(NamedTuple):
    """One action of a person.

    Attributes:
        at: when it began.
        address: of the person's connection.
        command: the command line that does the same.
        ended_at, failed, result: None while it runs, or if the viewer died meanwhile.
    """

    id: int
    at: datetime
    who: str
    address: str
    action: str
    command: str
    ended_at: datetime | None
    failed: bool | None
    result: str | None

    @property
    def outcome(self) -> str:
        """The result in words."""
        if self.result is None:
            return "no result was noted"
        return f"failed: {self.result}" if self.failed else self.result


class AuditQueries(QuerySession):
    """The queries about the audit."""

    def audit(self, *, limit: int, after: int | None = None) -> list[AuditRow]:
        """The newest entries.

        Args:
            limit: entries at most.
            after: only entries that are older than the one of this id.
        """
        return self._all("audit", AuditRow, limit=limit, after=after)

    def audit_entry(self, entry: int) -> AuditRow | None:
        """The entry of an id; None if there is none."""
        found = self._all("audit_entry", AuditRow, id=entry)
        return found[0] if found else None
