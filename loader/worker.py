"""A loader thread: takes chunks, loads them, and sets poison apart."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from uuid import uuid4

import structlog

from loader.chunk import Item, divide, halves, messages_in, read_items
from loader.inbox import Held, Inbox
from loader.letters import Letters
from loader.prepare import stage_lines
from loader.reader import Reader, Rows
from loader.store import ChunkStore, Loaded, PoisonError
from runtime.backoff import until_available
from runtime.fresh_thread import in_fresh_thread
from runtime.health import Pulse
from runtime.messages import report_properties
from schemas.errors import BrokerUnavailable, DatabaseUnavailable, Refused
from schemas.refusal import Reason
from schemas.report import Lane
from schemas.smx import render_batch, render_smx
from schemas.topology import INCOMING

_log = structlog.get_logger()


class Worker(threading.Thread):
    """One thread with one database connection.

    Args:
        inbox: where batches come from; the thread ends when it is closed.
        reader: turns them into rows.
        open_store: makes a connection.
        letters: takes poison, and waits for the broker's confirm.
        trust: called with a delivery that was read and will be dead-lettered.
        settle: called with every delivery whose messages are all committed or dead-lettered.
        stop: ends waiting for a database that is away.
        pulse: hears of progress and trouble.
    """

    def __init__(
        self,
        *,
        name: str,
        inbox: Inbox,
        reader: Reader,
        open_store: Callable[[str], ChunkStore],
        letters: Letters,
        trust: Callable[[Held], None],
        settle: Callable[[Sequence[Held]], None],
        stop: threading.Event,
        pulse: Pulse,
    ) -> None:
        # The service waits for it; a thread that hangs must not keep the process.
        super().__init__(name=name, daemon=True)
        self._inbox = inbox
        self._reader = reader
        self._open_store = open_store
        self._letters = letters
        self._trust = trust
        self._settle = settle
        self._stop_event = stop
        self._pulse = pulse
        self._store: ChunkStore | None = None
        #: What ended the thread before its time; the service raises it.
        self.failure: Exception | None = None

    def run(self) -> None:
        """Load until the inbox is closed."""
        try:
            self._load_all()
        except (DatabaseUnavailable, BrokerUnavailable):
            # Only when stopping: what was in hand is not settled, and comes again.
            pass
        except Exception as error:  # noqa: BLE001 (the service re-raises it in the main thread)
            self.failure = error

    def _load_all(self) -> None:
        try:
            while taken := self._inbox.take():
                self._load(taken)
        finally:
            if self._store is not None:
                self._store.close()

    def _load(self, taken: Sequence[Held]) -> None:
        bodies = [held.delivery.body for held in taken]
        read = self._reader.read(bodies)
        for number, rows in enumerate(read.chunks):
            try:
                self._insert(rows)
            except PoisonError:
                # Read once more, here, for the values of which the rows were made.
                in_fresh_thread(f"bisecting {self.name}", partial(self._bisect, taken, number))
        self._settle([held for at, held in enumerate(taken) if at not in read.refused])
        # Last: an alarm of the broker stops letters, and must not stop what is good.
        for at, refusal in read.refused.items():
            delivery = taken[at].delivery
            self._trust(taken[at])
            self._letters.bury(delivery.body, delivery.properties, refusal, queue=delivery.queue)
            self._settle([taken[at]])

    def _bisect(self, taken: Sequence[Held], number: int) -> None:
        bodies = [held.delivery.body for held in taken]
        chunk = divide(bodies, self._reader.chunk_bytes, read_items).chunks[number]
        self._load_halves(chunk, taken)

    def _load_halves(self, chunk: Sequence[Item], origins: Sequence[Held]) -> None:
        """Load a chunk; halve it while PostgreSQL refuses it, until the bad message is alone."""
        try:
            self._insert(Rows(stage_lines([item.plain for item in chunk]), messages_in(chunk)))
        except PoisonError as error:
            divided = halves(chunk)
            if divided is None:
                self._bury(chunk[0], error, origins[chunk[0].origin])
            else:
                for half in divided:
                    self._load_halves(half, origins)

    def _insert(self, rows: Rows) -> None:
        started = time.monotonic()
        loaded = until_available(self._stop_event, self.name, self._pulse)(
            self._try_insert, rows.lines
        )
        _log.info(
            "loader.chunk_loaded",
            messages=rows.messages,
            **loaded._asdict(),
            load_ms=round((time.monotonic() - started) * 1000),
        )

    def _try_insert(self, lines: bytes) -> Loaded:
        if self._store is not None and self._store.broken:
            self._store.close()
            self._store = None
        if self._store is None:
            self._store = self._open_store(self.name)
        loaded = self._store.load(lines)
        self._pulse.progress(self.name)
        return loaded

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
