"""A loader thread: takes chunks, loads them, and sets poison apart."""

import threading
import time
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

import structlog

from loader.inbox import Held, Inbox
from loader.letters import Letters
from loader.prepare import Item, halves, stage_lines
from loader.store import ChunkStore, Loaded, PoisonError
from runtime.backoff import until_available
from runtime.broker import Delivery, persistent
from runtime.fresh_thread import RENEW_AFTER, in_fresh_thread
from runtime.health import Pulse
from schemas.errors import BrokerUnavailable, DatabaseUnavailable, Refused
from schemas.refusal import Reason
from schemas.report import Lane, StateMessage
from schemas.smx import parse_batch, render_batch, render_smx
from schemas.topology import INCOMING

_log = structlog.get_logger()

#: Bytes of a state message's elements and attributes without its texts.
_BARE_MESSAGE = 250


class Worker(threading.Thread):
    """One thread with one database connection.

    Args:
        inbox: where chunks come from; the thread ends when it is closed.
        open_store: makes a connection.
        letters: takes poison, and waits for the broker's confirm.
        settle: called with every delivery whose messages are all committed or dead-lettered.
        stop: ends waiting for a database that is away.
        pulse: hears of progress and trouble.
    """

    def __init__(
        self,
        *,
        name: str,
        inbox: Inbox,
        open_store: Callable[[str], ChunkStore],
        letters: Letters,
        settle: Callable[[Sequence[Held]], None],
        chunk_bytes: int,
        stop: threading.Event,
        pulse: Pulse,
    ) -> None:
        # The service waits for it; a thread that hangs must not keep the process.
        super().__init__(name=name, daemon=True)
        self._inbox = inbox
        self._open_store = open_store
        self._letters = letters
        self._settle = settle
        self._chunk_bytes = chunk_bytes
        self._stop_event = stop
        self._pulse = pulse
        self._store: ChunkStore | None = None
        # The batches of the chunk in hand.
        self._origins: dict[UUID, Delivery] = {}
        #: What ended the thread before its time; the service raises it.
        self.failure: Exception | None = None

    def run(self) -> None:
        """Load until the inbox is closed."""
        try:
            while in_fresh_thread(f"spell of {self.name}", self._spell):
                pass
        except (DatabaseUnavailable, BrokerUnavailable):
            # Only when stopping: what was in hand is not settled, and comes again.
            pass
        except Exception as error:  # noqa: BLE001 (the service re-raises it in the main thread)
            self.failure = error
        finally:
            if self._store is not None:
                self._store.close()

    def _spell(self) -> bool:
        """Load until the thread has read enough: whether there is more to come."""
        read = 0
        while read < RENEW_AFTER:
            chunk = self._inbox.take()
            if not chunk:
                return False
            self._load(chunk)
            read += sum(len(held.delivery.body) for held in chunk)
        return True

    def _load(self, chunk: Sequence[Held]) -> None:
        pieces: list[list[Item]] = [[]]
        readable: list[Held] = []
        refused: list[tuple[Held, Refused]] = []
        self._origins.clear()
        for held in chunk:
            try:
                batch = parse_batch(held.delivery.body)
            except Refused as error:
                refused.append((held, error))
                continue
            readable.append(held)
            self._origins[batch.batch_id] = held.delivery
            items = [Item(batch.batch_id, one) for one in batch.smx]
            if len(held.delivery.body) <= self._chunk_bytes:
                pieces[-1] += items
            else:
                pieces += _cut(items, self._chunk_bytes)
        for piece in pieces:
            if piece:
                self._load_items(piece)
        self._settle(readable)
        # Last: an alarm of the broker stops letters, and must not stop what is good.
        for held, refusal in refused:
            delivery = held.delivery
            self._letters.bury(delivery.body, delivery.properties, refusal, queue=delivery.queue)
            self._settle([held])

    def _load_items(self, items: Sequence[Item]) -> None:
        """Load a chunk; halve it while PostgreSQL refuses it, until the bad message is alone."""
        started = time.monotonic()
        try:
            loaded = self._insert(stage_lines(items))
        except PoisonError as error:
            divided = halves(items)
            if divided is None:
                self._bury(items[0], error)
            else:
                for half in divided:
                    self._load_items(half)
            return
        _log.info(
            "loader.chunk_loaded",
            messages=sum(len(item.messages) for item in items),
            **loaded._asdict(),
            load_ms=round((time.monotonic() - started) * 1000),
        )

    def _insert(self, lines: bytes) -> Loaded:
        return until_available(self._stop_event, self.name, self._pulse)(self._try_insert, lines)

    def _try_insert(self, lines: bytes) -> Loaded:
        if self._store is not None and self._store.broken:
            self._store.close()
            self._store = None
        if self._store is None:
            self._store = self._open_store(self.name)
        loaded = self._store.load(lines)
        self._pulse.progress(self.name)
        return loaded

    def _bury(self, item: Item, error: PoisonError) -> None:
        """Dead-letter one message as a batch of one SMX; replay puts it back as it is."""
        refusal = Refused(Reason.DATABASE, str(error))
        report = item.smx.report
        try:
            body = render_batch(item.batch_id, "poison", [render_smx(item.smx.envelope, report)])
        except Refused:
            # Too large once written anew (CDATA can be a fifth of what is escaped). The letter
            # is the batch it came in; replayed, the neighbours count as duplicates.
            origin = self._origins[item.batch_id]
            self._letters.bury(origin.body, origin.properties, refusal, queue=origin.queue)
            return
        serial = item.messages[0].serial
        self._letters.bury(
            body,
            persistent(
                content_type="application/xml",
                message_id=str(uuid4()),
                headers={
                    "client_id": str(report.client_id),
                    "first_serial": serial,
                    "last_serial": serial,
                    "messages": 1,
                },
            ),
            refusal,
            queue=INCOMING[Lane.NORMAL],
        )


def _cut(items: Sequence[Item], chunk_bytes: int) -> list[list[Item]]:
    """Divide a batch that is larger than a chunk into whole SMX, at least one each."""
    pieces: list[list[Item]] = []
    size = chunk_bytes
    for one in items:
        own = sum(map(_size, one.messages))
        if size + own > chunk_bytes:
            pieces.append([])
            size = 0
        pieces[-1].append(one)
        size += own
    return pieces


def _size(message: StateMessage) -> int:
    """About the bytes of a message as SMX; writing it out to measure would cost, and can fail."""
    return (
        _BARE_MESSAGE
        + len(message.topic_id)
        + len(message.details or "")
        + sum(map(len, message.params))
    )
