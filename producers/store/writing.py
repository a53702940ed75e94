"""The store as its owner reads and writes it."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from producers.client import Client
from producers.seeded import draw, drawn_uuid
from producers.store.changes import Changes, state_message
from producers.store.damage import StoreDamage
from producers.store.lock import StoreLock
from producers.store.reading import FILE, SQL, VERSION, StoreReader, connect
from producers.store.values import OutboxReport
from runtime.files import our_directory
from schemas.errors import StatesysError
from schemas.report import StateMessage

LOCK_FILE = "fleet.lock"
_SCHEMA = files("producers.store").joinpath("schema.sql")
#: Pages of 4 KiB in the write-ahead log before SQLite moves them into the file. A transaction of a
#: few hundred clients alone has SQLite's default of 1,000.
_CHECKPOINT_PAGES = 8000
#: Default number of clients in a new store: enough to see results, made in a second.
_NEW_CLIENTS = 100
_VERSIONS = ("5.00.9106.1000", "5.00.9122.1000", "5.00.9128.1007", "4.00.6487.2000")
_KINDS = ("WS", "NB", "SRV", "KIOSK")


class Store(StoreReader):
    """A store that this process owns. A context manager, used by one thread.

    With `synchronous=FULL` a commit is on the disk before its reports are published, so even after
    a power cut no serial is used twice. A transaction covers hundreds of clients, so the cost is
    one fsync for thousands of messages.

    Args:
        directory: of the store; created when it is missing.
        seed: seed of a new store; an existing store must have the same. None takes the seed of the
            store, or 1 for a new one.
        clients: least number of clients; missing ones are created. None keeps those of the store,
            or creates 100 in a new one.
        now: creation time of a new store, timezone-aware.

    Raises:
        StatesysError: another process owns the store, it has another seed or version, or the
            directory cannot be written.
    """

    def __init__(
        self, directory: Path, *, seed: int | None, clients: int | None, now: datetime
    ) -> None:
        try:
            our_directory(directory)
            self._lock = StoreLock(directory / LOCK_FILE)
        except OSError as error:
            raise StatesysError(f"no fleet can live in {directory}: {error.strerror}") from None
        try:
            _create(directory, seed=1 if seed is None else seed, now=now)
            self._connection = connect(directory)
        except BaseException:
            self._lock.release()
            raise
        try:
            self._sql = SQL
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            self._load(directory)
            if seed is not None and seed != self.seed:
                raise StatesysError(
                    f"the fleet in {directory} was made with seed {self.seed}, not {seed}; "
                    "leave --seed out, or use another directory"
                )
            self._add_clients(clients)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file and release the lock."""
        try:
            super().close()
        finally:
            self._lock.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run everything inside in one transaction; nested calls join it.

        Raises:
            StatesysError: SQLite cannot write, for example because the disk is full.
        """
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back()
            raise StatesysError(f"the fleet's store cannot be written: {error}") from None
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def changes(self, now: datetime) -> Iterator[Changes]:
        """Collect changes, and write them at the end in one transaction.

        Args:
            now: the moment of the changes, timezone-aware.
        """
        with self.transaction():
            changes = Changes(now, self.store_id.int)
            yield changes
            changes.write(self._connection, self._sql)

    @contextmanager
    def damage(self, now: datetime) -> Iterator[StoreDamage]:
        """Apply store faults in one transaction.

        Args:
            now: the moment of the faults, timezone-aware.
        """
        with self.changes(now) as changes:
            yield StoreDamage(self._connection, self._sql, changes)

    def clients_between(self, first: int, end: int) -> Iterator[tuple[Client, int]]:
        """Read the clients with numbers from `first` to before `end`, each with its cycle count."""
        for number, client_id, *rest, cycle in self._all("clients_between", first, end):
            yield Client(number, UUID(bytes=client_id), *rest), cycle

    def client(self, client_id: UUID, among: int = 0) -> Client | None:
        """Find a client by its id.

        Args:
            client_id: the id.
            among: any number; chooses one of several machines that share the id.

        Returns:
            The client, or None if the store does not have it.
        """
        rows = self._all("client_with_id", client_id.bytes).fetchall()
        if not rows:
            return None
        number, _, *rest = rows[among % len(rows)]
        return Client(number, client_id, *rest)

    def quiet_clients(self, end: int, since: datetime, now: datetime, limit: int) -> list[int]:
        """Find clients that have forwarded nothing since a moment.

        Args:
            end: search the client numbers below this.
            since: the moment, timezone-aware.
            now: the current time. A later last report does not count: the clock was set back.
            limit: length of the result at most.

        Returns:
            Client numbers, ascending.
        """
        moments = since.isoformat(), now.isoformat()
        return [n for (n,) in self._all("quiet_clients", end, *moments, limit)]

    def unsent_between(self, first: int, end: int) -> dict[int, list[StateMessage]]:
        """Read states that were recorded and not sent, by client number; `end` is excluded."""
        rows = self._all("unsent_between", first, end)
        return {
            number: list(map(state_message, found))
            for number, found in groupby(rows, itemgetter(0))
        }

    def states_of(self, client: Client) -> list[StateMessage]:
        """Read the last state of every topic of a client, without serials."""
        return list(map(state_message, self._all("states_of", client.number)))

    def was_answered(self, client: Client, request_id: UUID) -> bool:
        """Whether a client has answered a request."""
        return self._one("was_answered", client.number, request_id.bytes) is not None

    def outgoing_after(self, position: int, limit: int) -> list[OutboxReport]:
        """Read the next reports that may be published, in the order of the outbox."""
        return [_outbox_report(row) for row in self._all("outgoing_after", position, limit)]

    def delete_confirmed(self, positions: Iterable[int]) -> None:
        """Delete reports that the broker has confirmed from the outbox."""
        with self.transaction():
            self._connection.executemany(self._sql["delete_confirmed"], ((p,) for p in positions))

    def release_held(self) -> None:
        """Release every report that a fault holds back."""
        with self.transaction():
            for name in ("let_all_pass", "release", "forget_released"):
                self._connection.execute(self._sql[name])

    def _roll_back(self) -> None:
        # On a full disk SQLite has rolled back already.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _add_clients(self, clients: int | None) -> None:
        (known,) = self._one("client_count")
        if clients is None:
            clients = known or _NEW_CLIENTS
        if known < clients:
            with self.transaction():
                rows = (_new_client(self.seed, n) for n in range(known, clients))
                self._connection.executemany(self._sql["add_client"], rows)


def _create(directory: Path, *, seed: int, now: datetime) -> None:
    path = directory / FILE
    if path.is_file():
        return
    # Created under another name and renamed when complete, so that a kill leaves no partial store.
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    connection = sqlite3.connect(unfinished, isolation_level=None)
    try:
        connection.executescript(_SCHEMA.read_text(encoding="utf-8"))
        values = (uuid4().bytes, seed, now.isoformat())
        connection.execute(SQL["create_fleet"], values)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    unfinished.rename(path)


def _new_client(seed: int, number: int) -> tuple[Any, ...]:
    random_bits = draw(seed, "client", number)
    kind, version = (
        _KINDS[random_bits % len(_KINDS)],
        _VERSIONS[(random_bits >> 8) % len(_VERSIONS)],
    )
    return (number, drawn_uuid(seed, "client", number).bytes, f"{kind}-{number:06d}", version)


def _outbox_report(row: tuple[Any, ...]) -> OutboxReport:
    position, client_id, message_id, body, first, last, messages, correlation_id, at = row
    return OutboxReport(
        position,
        UUID(bytes=client_id),
        UUID(bytes=message_id),
        body,
        first,
        last,
        messages,
        None if correlation_id is None else UUID(bytes=correlation_id),
        at,
    )
