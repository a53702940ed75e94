"""The audit in the database: who changed something, and when. The SQL is `audit.sql`."""

from typing import cast

from loader.store.shared import SharedStore
from runtime.statements import statements


class AuditStore(SharedStore):
    """A connection for audit entries."""

    _sql = statements("loader", "audit.sql")

    def begin(self, *, who: str, address: str, action: str, command: str) -> int:
        """Write that somebody is about to act, and commit it.

        Args:
            who: the person's name.
            address: of the person's connection.
            action: one word.
            command: the command line that does the same.

        Returns:
            The id of the entry.
        """
        with self._session.transaction():
            values = {"who": who, "address": address, "action": action, "command": command}
            row = self._run("begin", **values).fetchone()
            assert row is not None
            return cast(int, row[0])

    def end(self, entry: int, result: str, *, failed: bool) -> None:
        """Write what was done, or why it failed."""
        with self._session.transaction():
            self._run("end", id=entry, result=result, failed=failed)
