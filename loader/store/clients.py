"""Deletes clients from the database. The SQL is `clients.sql`."""

from typing import Any, NamedTuple, cast
from uuid import UUID

from loader.store.activity import keep_snapshots_out
from loader.store.shared import SharedStore
from runtime.statements import statements


class Removed(NamedTuple):
    """How many rows of a client there are or were, by table.

    Attributes:
        clients: 1, or 0 for a client that was forgotten before, or never known.
        states: current states.
        ranges, requests: missing ranges and resync requests, closed ones too.
        activity: what is kept of its counter, 0 or 1.
        messages: state messages of the history.
    """

    clients: int
    states: int
    ranges: int
    requests: int
    activity: int
    messages: int


class ClientStore(SharedStore):
    """A connection for deleting clients.

    Args:
        url: URL of the database.

    Raises:
        DatabaseUnavailable: from every method; try again.
        SchemaMissing: from every method; the database is not migrated.
    """

    _sql = statements("loader", "clients.sql")

    def __init__(self, url: str) -> None:
        super().__init__(url, name="statesys client")

    def name(self, client_id: UUID) -> str:
        """Return the name of a client; empty if the client or its name is not known."""
        with self._session.transaction():
            row = self._row("name", client_id)
            return "" if row is None else cast(str, row[0])

    def held(self, client_id: UUID) -> Removed:
        """Return what there is of a client, the history included."""
        with self._session.transaction():
            return Removed(*self._row("held", client_id))

    def forget(self, client_id: UUID) -> Removed:
        """Delete a client with its states, ranges and requests; its history stays.

        Returns:
            What was deleted; no `clients` if it was not known.
        """
        with self._session.transaction():
            return self._forget(client_id)

    def erase(self, client_id: UUID) -> Removed:
        """Delete a client and its history, in one transaction: all of it is gone, or nothing.

        Returns:
            What was deleted. There may be a history without a client, which was forgotten before.
        """
        with self._session.transaction():
            removed = self._forget(client_id)
            erased = self._run("erase_history", client_id=client_id)
            return removed._replace(messages=erased.rowcount)

    def _forget(self, client_id: UUID) -> Removed:
        keep_snapshots_out(self._session)
        self._row("lock", client_id)
        return Removed(*self._row("forget", client_id))

    def _row(self, statement: str, client_id: UUID) -> Any:
        return self._run(statement, client_id=client_id).fetchone()
