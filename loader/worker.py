"""A loader thread: takes chunks, loads them, and sets poison apart."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple
from uuid import uuid4

import structlog

from loader.aside import Aside, Part
from loader.chunk import Item, divide, halves, messages_in, read_items
from loader.dead_letters import DeadLetterPublisher
from loader.inbox import Held, Inbox
from loader.prepare import stage_lines
from loader.reader import Reader, Rows
from loader.store import ChunkStore, Loaded, PoisonError
from runtime.broker.messages import report_properties
from runtime.workers import HeartbeatFile
from runtime.workers.renewal import run_until_renewal
from runtime.workers.retry import FIRST_PAUSE, until_available
from schemas.errors import BrokerUnavailable, DatabaseUnavailable, Refused, SchemaMissing
from schemas.refusal import Reason
from schemas.report import Lane
from schemas.smx import render_batch, render_smx
from schemas.topology import INCOMING

_log = structlog.get_logger()

#: Why a chunk is not loaded for now, and may be later.
_FOR_NOW = (DatabaseUnavailable, SchemaMissing)
#: A deadlock, a lost connection, a replaced table are over at once.
_TRIES = 3
#: Seconds.
_MOMENT = 1.0


class _Left(NamedTuple):
    """A report that is refused for now, and why."""

    item: Item
    why: str


class Worker(threading.Thread):
    """One thread with one database connection.

    Args:
        inbox: where batches come from; the thread ends when it is closed.
        aside: where goes what cannot be loaded for now.
        reader: turns them into rows.
        open_store: makes a connection.
        letters: takes poison, and waits for the broker's confirm.
        trust: called with a delivery that was read and will be dead-lettered.
        settle: called with every delivery whose messages are all committed or dead-lettered.
        stop: ends waiting for a database that is away.
        heartbeat: hears of progress and trouble.
    """

    def __init__(
        self,
        *,
        name: str,
        inbox: Inbox,
        aside: Aside,
        reader: Reader,
        open_store: Callable[[str], ChunkStore],
        letters: DeadLetterPublisher,
        trust: Callable[[Held], None],
        settle: Callable[[Sequence[Held]], None],
        stop: threading.Event,
        heartbeat: HeartbeatFile,
    ) -> None:
        # The service waits for it; a thread that hangs must not keep the process.
        super().__init__(name=name, daemon=True)
        self._inbox = inbox
        self._aside = aside
        self._reader = reader
        self._open_store = open_store
        self._letters = letters
        self._trust = trust
        self._settle = settle
        self._stop_event = stop
        self._heartbeat = heartbeat
        self._store: ChunkStore | None = None
        #: What ended the thread before its time; the service raises it.
        self.failure: Exception | None = None

    def run(self) -> None:
        """Load until the inbox is closed."""
        try:
            self._load_all()
        except (*_FOR_NOW, BrokerUnavailable):
            # Only when stopping: what was in hand is not settled, and comes again.
            pass
        except Exception as error:  # noqa: BLE001 (the service re-raises it in the main thread)
            self.failure = error

    def _load_all(self) -> None:
        try:
            while not self._inbox.closed:
                if (part := self._aside.take()) is not None:
                    self._try_again(part)
                if taken := self._inbox.take(self._aside.pause()):
                    self._load(taken)
        finally:
            if self._store is not None:
                self._store.close()

    def _load(self, taken: Sequence[Held]) -> None:
        self._aside.see(taken[0].session)
        read = self._reader.read([held.delivery.body for held in taken])
        left: list[Part] = []
        for number, rows in enumerate(read.chunks):
            left += self._load_part(Part(tuple(taken), number), rows)
        self._set_aside(left)
        self._settle_loaded([held for at, held in enumerate(taken) if at not in read.refused])
        # Last: an alarm of the broker stops letters, and must not stop what is good.
        for at, refusal in read.refused.items():
            delivery = taken[at].delivery
            self._trust(taken[at])
            self._letters.bury(delivery.body, delivery.properties, refusal, queue=delivery.queue)
            self._settle([taken[at]])

    def _try_again(self, part: Part) -> None:
        if part.items is None:
            bodies = [held.delivery.body for held in part.deliveries]
            read = self._reader.read(bodies)
            rows, refused = read.chunks[part.number], read.refused
        else:
            rows, refused = _rows(part.items), {}
        self._aside.give_back(self._load_part(part, rows))
        self._settle_loaded([held for at, held in enumerate(part.deliveries) if at not in refused])

    def _set_aside(self, left: Sequence[Part]) -> None:
        if left:
            for part in left:
                for held in part.deliveries:
                    self._trust(held)
            self._aside.put(left)

    def _settle_loaded(self, taken: Sequence[Held]) -> None:
        self._settle(self._aside.without(taken))

    def _load_part(self, part: Part, rows: Rows) -> Sequence[Part]:
        """Load a chunk, or what is left of one.

        Returns:
            What cannot be loaded for now. All of it, if the tables refuse every row; otherwise
            the reports that are refused.
        """
        try:
            self._insert(rows, tries=1 if part.tries else _TRIES)
        except PoisonError as error:
            why = f"PostgreSQL refuses every row ({error})"
        except _FOR_NOW as error:
            why = str(error)
        else:
            return ()
        if not (self._tables_take_rows() or self._aside.others_loaded(part)):
            return [part._replace(why=why)]
        # Read once more, here, for the values of which the rows were made.
        return run_until_renewal(f"bisecting {self.name}", partial(self._divide, part))

    def _divide(self, part: Part) -> list[Part]:
        items = part.items
        if items is None:
            bodies = [held.delivery.body for held in part.deliveries]
            items = divide(bodies, self._reader.chunk_bytes, read_items).chunks[part.number]
        left: dict[int, list[_Left]] = {}
        for one in self._load_halves(items, part.deliveries):
            left.setdefault(one.item.origin, []).append(one)
        return [
            Part(
                (part.deliveries[origin],),
                0,
                [one.item._replace(origin=0) for one in found],
                found[0].why,
                part.tries,
            )
            for origin, found in left.items()
        ]

    def _load_halves(self, chunk: Sequence[Item], origins: Sequence[Held]) -> "list[_Left]":
        """Load a chunk; halve it while PostgreSQL refuses it, until what it refuses is alone.

        That is a message where it is poison, and a report where the cause may pass.
        """
        try:
            self._insert(_rows(chunk), tries=1)
        except PoisonError as error:
            divided = halves(chunk)
            if divided is None:
                if not self._tables_take_rows():
                    return [_Left(chunk[0], str(error))]
                self._bury(chunk[0], error, origins[chunk[0].origin])
                return []
        except _FOR_NOW as error:
            if self._stop_event.is_set():
                raise
            divided = halves(chunk) if len(chunk) > 1 else None
            if divided is None:
                return [_Left(chunk[0], str(error))]
        else:
            return []
        first, second = divided
        return [*self._load_halves(first, origins), *self._load_halves(second, origins)]

    def _insert(self, rows: Rows, *, tries: int) -> None:
        """Load rows.

        Raises:
            PoisonError: some row is refused for what it holds.
            DatabaseUnavailable, SchemaMissing: it is refused for another reason, for longer than a
                moment.
        """
        started = time.monotonic()
        loaded = self._try_to_load(rows.lines, tries, started)
        self._aside.loaded()
        self._heartbeat.progress(self.name)
        _log.info(
            "loader.chunk_loaded",
            messages=rows.messages,
            **loaded._asdict(),
            load_ms=round((time.monotonic() - started) * 1000),
        )

    def _try_to_load(self, lines: bytes, tries: int, started: float) -> Loaded:
        store = self._connected()
        try:
            return store.load(lines)
        except PoisonError:
            raise
        except _FOR_NOW:
            # A try that waited long for something has waited enough.
            if tries == 1 or time.monotonic() - started > _MOMENT or self._stop_event.is_set():
                raise
        self._stop_event.wait(FIRST_PAUSE)
        return self._try_to_load(lines, tries - 1, started)

    def _tables_take_rows(self) -> bool:
        """Whether it is about these rows that they are refused: others are not.

        Raises:
            DatabaseUnavailable: only when stopping.
        """
        if self._stop_event.is_set():
            raise DatabaseUnavailable("stopping")
        try:
            self._connected().probe()
        except _FOR_NOW:
            return False
        return True

    def _connected(self) -> ChunkStore:
        """The thread's connection: a new one where the last is lost, as soon as there is one."""
        if self._store is not None and self._store.broken:
            self._store.close()
            self._store = None
        if self._store is None:
            self._store = until_available(self._stop_event, self.name, self._heartbeat)(
                self._open_store, self.name
            )
            self._heartbeat.settle(self.name)
        return self._store

    def _bury(self, item: Item, error: PoisonError, held: Held) -> None:
        """Dead-letter one message as a batch of one SMX; replay puts it back as it is."""
        self._trust(held)
        origin = held.delivery
        refusal = Refused(Reason.DATABASE, str(error))
        report = item.smx.report
        try:
            body = render_batch(item.batch_id, "poison", [render_smx(item.smx.envelope, report)])
        except Refused:
            # Too large once written anew (CDATA can be a fifth of what is escaped). The letter
            # is the batch it came in; replayed, the neighbours count as duplicates.
            self._letters.bury(origin.body, origin.properties, refusal, queue=origin.queue)
            return
        serial = item.messages[0].serial
        self._letters.bury(
            body,
            report_properties(
                report.client_id,
                first_serial=serial,
                last_serial=serial,
                messages=1,
                message_id=uuid4(),
            ),
            refusal,
            queue=INCOMING[Lane.NORMAL],
        )


def _rows(chunk: Sequence[Item]) -> Rows:
    return Rows(stage_lines([item.plain for item in chunk]), messages_in(chunk))
