"""Store faults: a client's store is rolled back, lost or cloned, or its counter jumps.

The database enforces two rules: within one life of a client the counter never goes back, and no
serial is used twice. A client whose store is lost or rolled back therefore begins another life.
The table `sent` has the messages of every life, and `injected` the serials that are used again.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any

from producers.client import Client
from producers.store.changes import Changes


class StoreDamage:
    """Applies store faults to clients, inside an open transaction.

    Methods that change a client return it as it is afterwards. Only `clone` returns its argument
    unchanged.

    Args:
        connection, sql: connection and statements of the store.
        changes: changes of the same transaction, where the faults are recorded.
    """

    def __init__(
        self, connection: sqlite3.Connection, sql: Mapping[str, str], changes: Changes
    ) -> None:
        self._connection = connection
        self._sql = sql
        self._changes = changes

    def back_up(self, client: Client) -> None:
        """Save a client's counter and states as its backup; replaces an earlier backup."""
        for name in ("back_up", "forget_backup", "back_up_states"):
            self._run(name, client.number)

    def restore(self, client: Client, fault: str) -> Client:
        """Roll a client back to its backup; without a backup, do nothing."""
        found = self._run("backed_up", client.number).fetchone()
        if found is None:
            return client
        client = self._begin_again(client, found[0], fault)
        self._run("restore_states", client.number)
        return client

    def wipe(self, client: Client, fault: str) -> Client:
        """Reset a client's counter to 0, and delete its states and answered requests."""
        return self._begin_again(client, 0, fault)

    def skip(self, client: Client, serials: int, fault: str) -> Client:
        """Move a client's counter up by some serials, which are then never used."""
        first, last = client.last_serial + 1, client.last_serial + serials
        self._run("skip_serials", serials, client.number)
        self._changes.inject(fault, client, first, last)
        return client._replace(last_serial=last)

    def clone(self, client: Client, fault: str) -> Client:
        """Give a client without any serial yet the id and name of the client before it."""
        if self._run("clone", client.number).rowcount > 0:
            self._changes.inject(fault, client, 1, 1)
        return client

    def _begin_again(self, client: Client, last_serial: int, fault: str) -> Client:
        """Begin another life, without states and with the given last serial."""
        number = client.number
        self._changes.inject(fault, client, last_serial + 1, client.last_serial)
        self._run("begin_life", last_serial, number)
        self._run("forget_states", number)
        self._run("forget_answers", number, last_serial)
        return client._replace(last_serial=last_serial, life=client.life + 1)

    def _run(self, name: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(self._sql[name], values)
