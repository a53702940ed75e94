"""A fleet at work: the one loop in which its clients live and its publisher publishes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Self

import structlog

from producers import cycles as turns
from producers.plan import Plan
from producers.publisher import Publisher
from producers.store import Store
from schemas.errors import BrokerUnavailable

#: Clients of one store transaction: long enough that its fsync costs little for each, short enough
#: that confirms are looked at a few times a second.
_CHUNK = 250
#: Seconds to wait for the broker when there is nothing else to do.
_IDLE = 0.1
#: Seconds between two looks at a condition of the caller's, which may be a query.
_ASK = 0.2
#: Seconds between two looks for quiet clients, at most.
_LOOK = 10.0
#: Forward cycles and heartbeats for which the clients of a living fleet go on while the broker is
#: away: about ten minutes of 150,000 clients. Their reports wait on the disk, at about 2 KiB each.
_AHEAD = 100_000
#: Seconds in which reports that are in the air may still be confirmed after a stop.
_LAST_WAIT = 5.0

_log = structlog.get_logger()

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Progress:
    """How far a step is: clients done of clients to do, and what they do."""

    step: str
    done: int
    total: int


def utc_now() -> datetime:
    """The clock of a real fleet."""
    return datetime.now(UTC)


class Fleet:
    """Synthetic clients on one store and one connection. A context manager; of one thread.

    Example:
        >>> with Store(directory, seed=None, clients=100, now=utc_now()) as store:
        ...     plan = Plan(clients=100, seed=store.seed, faults={"loss": 0.05})
        ...     with Fleet(store, amqp_url, plan, stop=stop) as fleet:
        ...         fleet.publish_cycles(5)               # with faults
        ...         fleet.heartbeat_all()                 # without: lost last reports show
        ...         fleet.answer_requests(until=nothing_missing)
        ...         fleet.heartbeat_all()
        ...         fleet.drain()                         # everything confirmed

    Every method returns early once `stop` is set. What is unconfirmed then stays in the store's
    outbox, and the next fleet on the store publishes it. A broker that goes away is waited for.

    Args:
        store: open, and the fleet's for as long as it lives; closing it is the caller's.
        amqp_url: of the broker. Queues that are missing are declared.
        plan: what its clients do.
        clock: tells the time of the clients, aware.
        stop: ends everything in good order.
        on_progress: is told how far a step is, from the thread of the fleet.
        patient: also wait for a broker that is away at the start.

    Raises:
        BrokerUnavailable: the broker is away at the start, and nobody is patient.
    """

    def __init__(
        self,
        store: Store,
        amqp_url: str,
        plan: Plan,
        *,
        clock: Clock = utc_now,
        stop: Event | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        patient: bool = False,
    ) -> None:
        self._store = store
        self._plan = plan
        self._clock = clock
        self._stop = stop or Event()
        self._on_progress = on_progress
        self._publisher = Publisher(store, amqp_url, stop=self._stop, on_requests=self._answer)
        if not patient:
            self._publisher.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def publish_cycles(self, cycles: int) -> None:
        """Live some forward cycles as fast as the broker takes them, with the plan's faults."""
        for cycle in range(1, cycles + 1):
            self._for_all(
                f"cycle {cycle}",
                lambda first, end: turns.live(self._store, self._plan, first, end, self._clock()),
            )

    def heartbeat_all(self) -> None:
        """One heartbeat of every client, without faults, behind all that it has not sent yet."""
        self._for_all(
            "heartbeats",
            lambda first, end: turns.beat(self._store, range(first, end), self._clock()),
        )

    def drain(self) -> None:
        """Release what faults hold back, and wait until everything is confirmed."""
        self._store.release_held()
        self._publisher.more()
        while not self._stop.is_set() and not self._publisher.empty():
            self._step(_IDLE)

    def answer_requests(self, until: Callable[[], bool]) -> None:
        """Answer resync requests until a condition holds.

        From the first call on, the other methods answer requests too.

        Args:
            until: asked a few times a second.
        """
        self._publisher.listen()
        self.drain()
        ask_again = 0.0
        while not self._stop.is_set():
            if time.monotonic() >= ask_again:
                if until():
                    return
                ask_again = time.monotonic() + _ASK
            self._step(_IDLE)

    def run(self, forward_interval: timedelta, heartbeat_interval: timedelta) -> None:
        """Live on a clock until stopped: cycles, heartbeats, answers.

        Clients do not stop living because the broker is away: their outboxes fill.

        The clients' cycles are spread evenly over the interval. Faults meet ordinary cycles only.

        Args:
            forward_interval: length of a forward cycle, above zero.
            heartbeat_interval: a client that was quiet for so long forwards a heartbeat.
        """
        self._publisher.listen()
        clients = self._plan.clients
        rate = clients / forward_interval.total_seconds()
        started, lived, ahead = time.monotonic(), 0, 0
        look_again = 0.0
        while not self._stop.is_set():
            due = int((time.monotonic() - started) * rate) - lived
            if due > 2 * clients:
                # After a long wait for the broker: cycles that nobody could forward are not made
                # up for, as clients that were switched off would not do it either.
                lived += due // clients * clients - clients
            if not self._publisher.away:
                ahead = 0
            if due > 0 and self._has_room(ahead):
                some = self._live_some(lived % clients, due)
                lived, ahead = lived + some, ahead + some
            if time.monotonic() >= look_again and self._has_room(ahead):
                quiet = self._beat_quiet(heartbeat_interval)
                ahead += quiet
                # Looking reads every client, so not in each turn; but none is late by much.
                pause = min(heartbeat_interval.total_seconds() / 10, _LOOK)
                look_again = time.monotonic() + (0 if quiet == _CHUNK else pause)
            hurry = due > _CHUNK and self._has_room(ahead)
            self._step(0 if hurry else _IDLE)

    def close(self) -> None:
        """Wait a little for what is in the air, note what was confirmed, disconnect."""
        self._publisher.close(_LAST_WAIT)

    def _for_all(self, step: str, act: Callable[[int, int], None]) -> None:
        clients = self._plan.clients
        for first in range(0, clients, _CHUNK):
            while self._publisher.busy and not self._stop.is_set():
                self._step(_IDLE)
            if self._stop.is_set():
                return
            end = min(first + _CHUNK, clients)
            act(first, end)
            self._publisher.more()
            self._step(0)
            if self._on_progress is not None:
                self._on_progress(Progress(step, end, clients))

    def _has_room(self, ahead: int) -> bool:
        """Whether the outbox may take more: of what is published soon, or of what has to wait."""
        if self._publisher.away:
            return ahead < _AHEAD
        return not self._publisher.busy

    def _live_some(self, first: int, due: int) -> int:
        """Let up to a chunk of the due clients live from `first` on; returns how many did."""
        end = min(first + min(due, _CHUNK), self._plan.clients)
        turns.live(self._store, self._plan, first, end, self._clock())
        self._publisher.more()
        _log.debug("producers.reports_forwarded", first_client=first, clients=end - first)
        return end - first

    def _beat_quiet(self, interval: timedelta) -> int:
        now = self._clock()
        quiet = self._store.quiet_clients(self._plan.clients, now - interval, now, _CHUNK)
        if quiet:
            turns.beat(self._store, quiet, now)
            self._publisher.more()
            _log.info("producers.heartbeats_forwarded", clients=len(quiet))
        return len(quiet)

    def _answer(self, bodies: list[bytes]) -> None:
        turns.answer_requests(self._store, bodies, self._clock())

    def _step(self, timeout: float) -> None:
        try:
            self._publisher.step(timeout)
        except BrokerUnavailable:
            # Only after a stop: the broker is away, and nobody wants to wait for it any more.
            if not self._stop.is_set():
                raise
