"""What may happen to a client's store itself, and that the ledger still knows the truth.

The counter of a life never goes back, and no life gives a serial twice: both are laws of the
database. A store that is lost or rolled back begins another life, so the laws yield in the open:
the ledger has what every life sent, and `injected` which serials come again.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any

from producers.client import Client
from producers.store.changes import Changes


class StoreDamage:
    """Does harm to clients, inside an open transaction.

    Every method returns the client as it is afterwards.

    Args:
        connection, sql: of the store.
        changes: of the same transaction; takes the record of what was done.
    """

    def __init__(
        self, connection: sqlite3.Connection, sql: Mapping[str, str], changes: Changes
    ) -> None:
        self._connection = connection
        self._sql = sql
        self._changes = changes

    def back_up(self, client: Client) -> Client:
        """Remember a client's counter and states; an earlier backup is forgotten."""
        for name in ("back_up", "forget_backup", "back_up_states"):
            self._run(name, client.number)
        return client

    def restore(self, client: Client, fault: str) -> Client:
        """Roll a client back to its backup; without one, nothing happens."""
        found = self._run("backed_up", client.number).fetchone()
        if found is None:
            return client
        client = self._begin_again(client, found[0], fault)
        self._run("restore_states", client.number)
        return client

    def wipe(self, client: Client, fault: str) -> Client:
        """Lose all that a client knows but its id."""
        return self._begin_again(client, 0, fault)

    def skip(self, client: Client, serials: int, fault: str) -> Client:
        """Move a client's counter up: serials that are never given."""
        first, last = client.last_serial + 1, client.last_serial + serials
        self._run("skip_serials", serials, client.number)
        self._changes.inject(fault, client, first, last)
        return client._replace(last_serial=last)

    def clone(self, client: Client, fault: str) -> Client:
        """Give a client that has said nothing yet the id of the one before it."""
        if self._run("clone", client.number).rowcount > 0:
            self._changes.inject(fault, client, 1, 1)
        return client

    def _begin_again(self, client: Client, last_serial: int, fault: str) -> Client:
        """Another life without any state yet."""
        number = client.number
        self._changes.inject(fault, client, last_serial + 1, client.last_serial)
        self._run("begin_life", last_serial, number)
        self._run("forget_states", number)
        self._run("forget_answers", number, last_serial)
        return client._replace(last_serial=last_serial, life=client.life + 1)

    def _run(self, name: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(self._sql[name], values)
