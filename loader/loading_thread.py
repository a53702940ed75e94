"""A loader thread: takes chunks, loads them, and dead-letters poison."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple
from uuid import uuid4

import structlog

from loader.aside import Aside, Part
from loader.chunk import Item, divide, halves, messages_in, read_items
from loader.counting import counts_of
from loader.dead_letters import DeadLetterPublisher
from loader.inbox import Held, Inbox
from loader.reader import Reader, Rows, rows_of
from loader.store.chunks import ChunkStore, Loaded
from runtime.broker.messages import report_properties
from runtime.database import PoisonError
from runtime.workers import HeartbeatFile
from runtime.workers.renewal import run_until_renewal
from runtime.workers.reporting import Tally
from runtime.workers.retry import FIRST_PAUSE, until_available
from schemas.errors import BrokerUnavailable, DatabaseUnavailable, Refused, SchemaMissing
from schemas.refusal import Reason
from schemas.report import Lane
from schemas.smx import render_batch, render_smx
from schemas.topology import INCOMING
from schemas.workers import Counters

_log = structlog.get_logger()

#: Errors after which a chunk is set aside and tried again later.
_TRY_LATER = (DatabaseUnavailable, SchemaMissing)
#: Tries to load a chunk. A deadlock or a lost connection is usually over by the next try.
_TRIES = 3
#: Seconds since the first try after which no further one follows.
_RETRY_FOR = 1.0


class _NotLoaded(NamedTuple):
    """A report that PostgreSQL refuses for now, and its error."""

    item: Item
    why: str


class LoaderThread(threading.Thread):
    """One thread with one database connection.

    Args:
        name: name of the thread and of its connection.
        inbox: source of the batches; closing it ends the thread.
        aside: keeps what cannot be loaded for now.
        reader: turns batches into rows.
        open_store: opens a database connection under a name.
        letters: publishes poison as dead letters.
        trust: called with a delivery that was read, but may stay unsettled for long: it will be
            dead-lettered, or is set aside.
        settle: called with every delivery whose messages are all committed or dead-lettered.
        count_topics: called with the number of messages by topic type of every committed chunk.
        stop: set it to end waiting for an unavailable database.
        heartbeat: receives progress and trouble.
        tally: counts what is loaded.

    Attributes:
        failure: the error that ended the thread, for the service to raise; None if there is none.
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
        count_topics: Callable[[Mapping[int, int]], None],
        stop: threading.Event,
        heartbeat: HeartbeatFile,
        tally: Tally,
    ) -> None:
        # A daemon: a hanging thread must not keep the process alive after the service has ended.
        super().__init__(name=name, daemon=True)
        self._inbox = inbox
        self._aside = aside
        self._reader = reader
        self._open_store = open_store
        self._letters = letters
        self._trust = trust
        self._settle = settle
        self._count_topics = count_topics
        self._stop_event = stop
        self._heartbeat = heartbeat
        self._tally = tally
        self._store: ChunkStore | None = None
        self.failure: Exception | None = None

    def run(self) -> None:
        """Load until the inbox is closed."""
        try:
            self._load_all()
        except (*_TRY_LATER, BrokerUnavailable):
            # Only when stopping: the broker redelivers what is not settled.
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
        # Last: an alarm of the broker delays dead letters, but must not delay good batches.
        for at, refusal in read.refused.items():
            delivery = taken[at].delivery
            self._trust(taken[at])
            self._letters.publish(delivery.body, delivery.properties, refusal, queue=delivery.queue)
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
            What cannot be loaded for now: the whole part if the tables refuse every row,
            otherwise the refused reports.
        """
        try:
            self._insert(rows, tries=1 if part.tries else _TRIES)
        except PoisonError as error:
            why = f"PostgreSQL refuses every row ({error})"
        except _TRY_LATER as error:
            why = str(error)
        else:
            return ()
        if not (self._tables_take_rows() or self._aside.others_loaded(part)):
            return [part._replace(why=why)]
        # Bisecting needs the parsed messages; the reader returned rows only. So parse here, again.
        return run_until_renewal(f"bisecting {self.name}", partial(self._bisect, part))

    def _bisect(self, part: Part) -> list[Part]:
        """Load all of a part but what PostgreSQL refuses; return that, sorted by delivery."""
        items = part.items
        if items is None:
            bodies = [held.delivery.body for held in part.deliveries]
            items = divide(bodies, self._reader.chunk_bytes, read_items).chunks[part.number]
        left: dict[int, list[_NotLoaded]] = {}
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

    def _load_halves(self, chunk: Sequence[Item], deliveries: Sequence[Held]) -> list[_NotLoaded]:
        """Load a chunk; if PostgreSQL refuses it, load its halves.

        Halving finds the single message that is poison, which becomes a dead letter. What is
        refused for another reason may be accepted later: halving finds the report, and returns it.
        """
        try:
            self._insert(_rows(chunk), tries=1)
        except PoisonError as error:
            divided = halves(chunk)
            if divided is None:
                if not self._tables_take_rows():
                    return [_NotLoaded(chunk[0], str(error))]
                self._dead_letter(chunk[0], error, deliveries[chunk[0].origin])
                return []
        except _TRY_LATER as error:
            if self._stop_event.is_set():
                raise
            divided = halves(chunk) if len(chunk) > 1 else None
            if divided is None:
                return [_NotLoaded(chunk[0], str(error))]
        else:
            return []
        first, second = divided
        return [*self._load_halves(first, deliveries), *self._load_halves(second, deliveries)]

    def _insert(self, rows: Rows, *, tries: int) -> None:
        """Load rows, with up to `tries` tries.

        Raises:
            PoisonError: PostgreSQL refuses a row because of its content.
            DatabaseUnavailable, SchemaMissing: the last try failed for another reason.
        """
        started = time.monotonic()
        loaded = self._try_to_load(rows.lines, tries, started)
        self._count_topics(rows.topics)
        self._aside.loaded()
        self._heartbeat.progress(self.name)
        took = time.monotonic() - started
        self._tally.add(
            Counters(chunks=1, messages=rows.messages),
            counts_of(rows.received, loaded, took=took, now=datetime.now(UTC)),
        )
        _log.info(
            "loader.chunk_loaded",
            messages=rows.messages,
            **loaded._asdict(),
            load_ms=round(took * 1000),
        )

    def _try_to_load(self, lines: bytes, tries: int, started: float) -> Loaded:
        store = self._connected()
        try:
            return store.load(lines)
        except PoisonError:
            raise
        except _TRY_LATER:
            # After a long wait, for a lock for example, another try at once is unlikely to help.
            if tries == 1 or time.monotonic() - started > _RETRY_FOR or self._stop_event.is_set():
                raise
        self._stop_event.wait(FIRST_PAUSE)
        return self._try_to_load(lines, tries - 1, started)

    def _tables_take_rows(self) -> bool:
        """Whether the tables accept a made-up message, so that a refusal is about the rows.

        Raises:
            DatabaseUnavailable: only when stopping.
        """
        if self._stop_event.is_set():
            raise DatabaseUnavailable("stopping")
        try:
            self._connected().probe()
        except _TRY_LATER:
            return False
        return True

    def _connected(self) -> ChunkStore:
        """Return the thread's connection; replace a lost one, and wait until that succeeds."""
        if self._store is not None and self._store.broken:
            self._store.close()
            self._store = None
        if self._store is None:
            self._store = until_available(self._stop_event, self.name, self._heartbeat)(
                self._open_store, self.name
            )
            self._heartbeat.clear(self.name)
        return self._store

    def _dead_letter(self, item: Item, error: PoisonError, held: Held) -> None:
        """Dead-letter one message as a batch of one SMX, which can be replayed unchanged."""
        self._trust(held)
        origin = held.delivery
        refusal = Refused(Reason.DATABASE, str(error))
        report = item.smx.report
        try:
            smx = render_smx(item.smx.envelope, report)
            # The second argument names the relay; no relay made this batch.
            body = render_batch(item.batch_id, "poison", [smx])
        except Refused:
            # Too large when rendered again: escaped text can be five times as long as CDATA. So
            # dead-letter the original batch; after a replay its other messages are duplicates.
            self._letters.publish(origin.body, origin.properties, refusal, queue=origin.queue)
            return
        serial = item.messages[0].serial
        self._letters.publish(
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
    return rows_of([item.smx_text for item in chunk], messages_in(chunk))
