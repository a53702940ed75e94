"""Read a store, also while a running fleet owns it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from producers.store.values import (
    Answer,
    FleetClient,
    InjectedFault,
    OutboxRange,
    SentMessage,
    StoredState,
    StoreTotals,
)
from runtime.statements import statements
from schemas.errors import StatesysError

FILE = "fleet.sqlite3"
SQL = statements("producers.store", "queries.sql")
#: Version of `schema.sql`; stores of other versions are refused.
VERSION = 2
#: KiB of pages that SQLite keeps in memory.
_CACHE_KIB = 65536
#: Seconds to wait for another connection's lock; in WAL mode a reader rarely waits.
_BUSY_TIMEOUT = 30


class StoreReader:
    """A store, read only. A context manager, used by one thread.

    Every method reads in its own snapshot; `snapshot()` gives several methods the same one.
    Iterators stream their rows, so memory does not grow with the store. Rows ordered by client are
    ordered by `client_id` byte by byte, as PostgreSQL sorts uuids.

    Args:
        directory: of the store.

    Attributes:
        store_id: id of the store; names the reply queue (`schemas.topology.reply_queue`).
        seed: of the fleet.

    Raises:
        StatesysError: there is no store, or this version cannot read it.
    """

    def __init__(self, directory: Path) -> None:
        self._connection = connect(directory)
        try:
            self._sql = SQL
            # SQLite refuses every write of a reader.
            self._connection.execute("PRAGMA query_only = 1")
            self._load(directory)
        except BaseException:
            self._connection.close()
            raise

    def _load(self, directory: Path) -> None:
        try:
            store_id, seed = self._one("fleet")
        except (sqlite3.DatabaseError, TypeError) as error:
            # The file may be a SQLite database of another program with the same version number.
            raise StatesysError(
                f"{directory / FILE} cannot be read as a fleet's store: {error}"
            ) from None
        self.store_id = UUID(bytes=store_id)
        self.seed: int = seed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read everything inside from one snapshot, while the owner goes on writing."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def clients(self) -> Iterator[FleetClient]:
        """Read every client, ordered by id; cloned machines with one id follow each other."""
        for client_id, *rest in self._all("all_clients"):
            yield FleetClient(UUID(bytes=client_id), *rest)

    def states(self, client_id: UUID | None = None) -> Iterator[StoredState]:
        """Read the last state of every topic, ordered by client, topic type, topic id, user SID.

        Args:
            client_id: read the states of this client only.
        """
        for found, *rest in self._of(client_id, "states"):
            yield StoredState(UUID(bytes=found), *rest)

    def sent(self, client_id: UUID | None = None) -> Iterator[SentMessage]:
        """Read every message that was ever numbered, ordered by client and serial.

        Args:
            client_id: read the messages of this client only.
        """
        for found, *rest in self._of(client_id, "sent"):
            yield SentMessage(UUID(bytes=found), *rest)

    def outbox_ranges(self) -> Iterator[OutboxRange]:
        """Read the serials of unconfirmed reports, in the order of the outbox."""
        for client_id, first, last, message_id, held in self._all("outbox_ranges"):
            yield OutboxRange(
                UUID(bytes=client_id), first, last, UUID(bytes=message_id), bool(held)
            )

    def outbox_is_empty(self) -> bool:
        """Whether every report was confirmed and deleted."""
        return bool(self._one("outbox_is_empty")[0])

    def injected(self) -> Iterator[InjectedFault]:
        """Read the injected faults, in the order in which they were injected."""
        for fault, client_id, first, last, message_id, at, life in self._all("injected_ranges"):
            yield InjectedFault(
                fault,
                UUID(bytes=client_id),
                first,
                last,
                UUID(bytes=message_id),
                datetime.fromisoformat(at),
                life,
            )

    def injected_by_kind(self) -> dict[str, int]:
        """Count the injected faults by kind; kinds that did not occur are missing."""
        return dict(self._all("injected_by_kind"))

    def answers(self) -> Iterator[Answer]:
        """Read the answered resync requests, ordered by client and first serial."""
        for request_id, client_id, first, last, at in self._all("answers"):
            yield Answer(
                UUID(bytes=request_id),
                UUID(bytes=client_id),
                first,
                last,
                datetime.fromisoformat(at),
            )

    def totals(self) -> StoreTotals:
        """Read the counts over the whole time of the store."""
        return StoreTotals(*self._one("totals"))

    def _of(self, client_id: UUID | None, what: str) -> sqlite3.Cursor:
        if client_id is None:
            return self._all(f"all_{what}")
        return self._all(f"{what}_with_id", client_id.bytes)

    def _all(self, name: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(self._sql[name], values)

    def _one(self, name: str, *values: Any) -> Any:
        return self._all(name, *values).fetchone()


def connect(directory: Path) -> sqlite3.Connection:
    """Open the SQLite file of an existing store.

    Args:
        directory: of the store.

    Raises:
        StatesysError: there is no store, or this version cannot read it.
    """
    path = directory / FILE
    if not path.is_file():
        raise StatesysError(
            f"there is no fleet in {directory}; `statesys producers publish` makes one"
        )
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StatesysError(f"{path} cannot be read as a fleet's store: {error}") from None
    if version != VERSION:
        connection.close()
        raise StatesysError(
            f"{path} is a store of version {version}, this program knows version {VERSION}; "
            "use another directory"
        )
    return connection
