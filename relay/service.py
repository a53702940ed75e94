"""A relay process: reports in, batches out, and an ack only after the confirm.

One thread at a time, two sessions. Memory and disk alarms stop connections that publish, and a
stopped connection would not hear that the broker takes the consumed reports back.
"""

import os
import socket
import threading
import time
from datetime import UTC, datetime

import structlog

from relay.batcher import Batcher, Closed
from relay.intake import accept
from relay.outgoing import Outgoing, of_batch, of_refused
from relay.settling import Settling
from runtime.backoff import until_available
from runtime.broker import Administration, Delivery, Event, Measured, Session, Settled, declare
from runtime.broker.session import HELD_AGAIN, HELD_LIMIT, MAX_PREFETCH
from runtime.closing import close_in_order
from runtime.fresh_thread import RENEW_AFTER, in_fresh_thread
from runtime.health import Pulse
from runtime.settings import Settings
from schemas.errors import BrokerUnavailable, Refused
from schemas.topology import QUEUES, REPORTS

_log = structlog.get_logger()
_KIB = 1024
#: Seconds of one poll when nothing is waiting; also how late a stop is noticed.
_POLL = 0.1
#: Seconds of nothing to do before "empty" counts, and between two looks at the queue.
_EMPTY_FOR, _MEASURE_EVERY = 1.0, 0.25
#: Seconds before what the broker did not take is published again.
_AGAIN_AFTER = 1.0
#: Settled deliveries that may wait behind one that cannot be sent.
_FEW = 100
#: Seconds that confirms of the last batches get when stopping.
_FINISH_TIMEOUT = 30.0


class Relay:
    """One relay process.

    Args:
        settings: read once at the top.
        stop: set to end; the batch in hand is finished first.
    """

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._url = settings.required_amqp_url()
        self._name = f"{socket.gethostname()}/{os.getpid()}"
        self._pulse = Pulse(settings.home, "relay")

    def run(self, *, exit_when_empty: bool = False) -> None:
        """Relay until stopped, or until nothing has been left for a second.

        Raises:
            BrokerUnavailable: the broker cannot be reached at the start; a wrong address is told
                at once. One that goes away later is waited for.
            PermissionMissing: the user lacks a permission, at the start or later.
            TopologyWrong: a queue or exchange is not what it must be; it is looked at before
                anything is taken, at the start and after a lost connection.
        """
        Administration(self._url, name="statesys relay").close()
        self._pulse.beat(held=0, now=True)
        try:
            until_available(self._stop, "relay", self._pulse)(self._session, exit_when_empty)
        except BrokerUnavailable:
            # Only when stopping while the broker is away: what was held comes again.
            if not self._stop.is_set():
                raise
        finally:
            self._pulse.end()
        _log.info("relay.stopped")

    def _session(self, exit_when_empty: bool) -> None:  # noqa: FBT001 (called by tenacity)
        self._pulse.note(declare(self._url, QUEUES, name="statesys relay"))
        shift = _Shift(self._url, self._name, self._settings, self._pulse)
        try:
            shift.run(self._stop, exit_when_empty=exit_when_empty)
        finally:
            shift.close()


class _Shift:
    """The work of one pair of sessions; nothing of it outlives them."""

    def __init__(self, url: str, name: str, settings: Settings, pulse: Pulse) -> None:
        self._pulse = pulse
        self._url = url
        self._max_bytes = settings.max_report_size * _KIB
        self._prefetch = MAX_PREFETCH
        self._batcher = Batcher(
            name,
            max_bytes=settings.batch_size * _KIB,
            linger=settings.batch_linger.total_seconds(),
        )
        self._settling = Settling()
        self._held: dict[int, int] = {}
        self._held_bytes = 0
        # Bytes of reports in this spell.
        self._read = 0
        self._paused = False
        self._again: list[tuple[float, Outgoing]] = []
        self._ready = 1
        self._busy_at = self._measured_at = time.monotonic()
        self._out = Session(url, name="statesys relay publish")
        try:
            self._in = Session(url, name="statesys relay consume")
        except BaseException:
            self._out.close()
            raise

    def run(self, stop: threading.Event, *, exit_when_empty: bool) -> None:
        self._in.consume(REPORTS, prefetch=self._prefetch)
        self._pulse.progress("relay")
        _log.info("relay.consuming", queue=REPORTS)
        while not in_fresh_thread("relay", lambda: self._spell(stop, exit_when_empty)):
            pass
        self._in.cancel()
        _log.info("relay.stopping")
        self._send_all(self._batcher.close_all())
        deadline = time.monotonic() + _FINISH_TIMEOUT
        while (self._out.unconfirmed or self._again) and time.monotonic() < deadline:
            self._collect(self._out.poll(_POLL))
            self._retry()
        # One more turn for the frames of the last acks.
        self._in.poll(0)

    def close(self) -> None:
        close_in_order(self._in.close, self._out.close)

    def _spell(self, stop: threading.Event, exit_when_empty: bool) -> bool:  # noqa: FBT001
        """Work until the thread has read enough, or for good: whether it was that."""
        self._read = 0
        while self._read < RENEW_AFTER:
            if stop.is_set():
                return True
            self._turn()
            if exit_when_empty and self._empty():
                return True
        return False

    def _turn(self) -> None:
        now = time.monotonic()
        wait = self._batcher.wait(now)
        # While confirms are awaited, the other session must be looked at often.
        patience = 0.002 if self._out.unconfirmed else _POLL
        for event in self._in.poll(patience if wait is None else min(patience, wait)):
            if isinstance(event, Delivery):
                self._take(event)
            elif isinstance(event, Measured):
                self._ready = event.ready
        self._send_all(self._batcher.overdue(time.monotonic()))
        self._collect(self._out.poll(0))
        self._retry()
        self._govern()
        self._pulse.beat(held=len(self._held), blocked=self._out.blocked)

    def _take(self, delivery: Delivery) -> None:
        self._settling.took(delivery.tag)
        self._held[delivery.tag] = len(delivery.body)
        self._held_bytes += len(delivery.body)
        self._read += len(delivery.body)
        now = datetime.now(UTC)
        try:
            taken = accept(delivery, received_at=now, max_bytes=self._max_bytes)
        except Refused as refusal:
            self._send(of_refused(delivery, refusal, now=now))
            return
        full = self._batcher.add(
            taken.lane, delivery.tag, taken.smx, taken.messages, time.monotonic()
        )
        if full is not None:
            self._send(of_batch(full, now=now))

    def _send_all(self, batches: list[Closed]) -> None:
        for batch in batches:
            self._send(of_batch(batch, now=datetime.now(UTC)))

    def _send(self, one: Outgoing) -> None:
        self._out.publish(
            routing_key=one.queue, body=one.body, properties=one.properties, token=one
        )

    def _collect(self, events: list[Event]) -> None:
        for event in events:
            if not isinstance(event, Settled):
                continue
            one: Outgoing = event.token
            if event.problem is not None:
                _log.warning("relay.not_sent", why=event.problem)
                self._again.append((time.monotonic() + _AGAIN_AFTER, one))
                continue
            one.tell()
            self._pulse.progress("relay")
            for tag in one.tags:
                self._held_bytes -= self._held.pop(tag)
            up_to = self._settling.settle(one.tags)
            if up_to is not None:
                self._in.ack(up_to, up_to=True)
        if self._again:
            for tag in self._settling.stragglers(_FEW):
                self._in.ack(tag)

    def _retry(self) -> None:
        now = time.monotonic()
        due = [one for at, one in self._again if at <= now]
        self._again = [(at, one) for at, one in self._again if at > now]
        if due:
            # Somebody may have deleted the queue.
            with Administration(self._url, name="statesys relay") as desk:
                desk.declare(QUEUES)
        for one in due:
            self._send(one)

    def _govern(self) -> None:
        """Stop reading above 64 MiB: the broker keeps reports better than a process does."""
        if not self._paused and self._held_bytes > HELD_LIMIT:
            self._in.cancel()
            self._paused = True
            self._prefetch = max(1, len(self._held) // 2)
            _log.warning("relay.paused", held_bytes=self._held_bytes, blocked=self._out.blocked)
        elif self._paused and self._held_bytes < HELD_AGAIN:
            self._in.consume(REPORTS, prefetch=self._prefetch)
            self._paused = False

    def _empty(self) -> bool:
        now = time.monotonic()
        if self._ready or self._held:
            self._busy_at = now
        if now - self._measured_at > _MEASURE_EVERY:
            self._measured_at = now
            self._in.measure(REPORTS)
        return now - self._busy_at >= _EMPTY_FOR
