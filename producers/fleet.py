"""The loop of a fleet: forward cycles, heartbeats, answers and publishing in one thread."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Self

import structlog

from producers.cycles import answer_requests, forward_cycles, forward_heartbeats
from producers.plan import Plan
from producers.publisher import Publisher
from producers.store import Store
from schemas.errors import BrokerUnavailable

#: Clients in one store transaction: enough to make the fsync cheap for each, few enough to read
#: confirms a few times a second.
_CHUNK = 250
#: Seconds to wait for the broker when there is nothing else to do.
_IDLE = 0.1
#: Seconds between two checks of the caller's condition, which may be a query.
_ASK = 0.2
#: Longest pause between two searches for quiet clients, in seconds.
_LOOK = 10.0
#: Forward cycles and heartbeats that are made while the broker is away, then the clients pause: one
#: cycle of each client in the largest fleet. Their reports wait on disk, about 2 KiB each.
_AHEAD = 100_000
#: Seconds to wait for outstanding confirms after a stop.
_LAST_WAIT = 5.0

_log = structlog.get_logger()

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Progress:
    """Progress of a step.

    Attributes:
        step: what the clients do, such as "cycle 2".
        done, total: number of clients.
    """

    step: str
    done: int
    total: int


def utc_now() -> datetime:
    """Return the current time, timezone-aware in UTC."""
    return datetime.now(UTC)


class Fleet:
    """Synthetic clients on one store and one connection. A context manager, used by one thread.

    Example:
        >>> with Store(directory, seed=None, clients=100, now=utc_now()) as store:
        ...     plan = Plan(clients=100, seed=store.seed, faults={"loss": 0.05})
        ...     with Fleet(store, amqp_url, plan, stop=stop) as fleet:
        ...         fleet.publish_cycles(5)               # with faults
        ...         fleet.heartbeat_all()                 # without: shows lost last reports
        ...         fleet.answer_requests(until=nothing_missing)
        ...         fleet.heartbeat_all()
        ...         fleet.drain()                         # everything confirmed

    Every method returns early once `stop` is set. Unconfirmed reports then stay in the outbox of
    the store, and the next fleet on that store publishes them. When the connection is lost, the
    fleet reconnects.

    Args:
        store: an open store, used by this fleet alone; the caller closes it.
        amqp_url: of the broker. Missing queues are declared.
        plan: what the clients do.
        clock: returns the time of the clients, timezone-aware.
        stop: set it to stop the fleet in good order.
        on_progress: called with the progress of a step, in the thread of the fleet.
        patient: if the broker is away at the start, wait for it in the first method that publishes.

    Raises:
        BrokerUnavailable: the broker is away at the start and `patient` is false.
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
        self._publisher.close(_LAST_WAIT)

    def publish_cycles(self, cycles: int) -> None:
        """Run some forward cycles as fast as the broker takes them, with the plan's faults."""
        for cycle in range(1, cycles + 1):
            self._for_all(f"cycle {cycle}", self._forward_cycles)

    def heartbeat_all(self) -> None:
        """Forward one heartbeat of every client behind its unsent messages, without faults."""
        self._for_all(
            "heartbeats",
            lambda first, end: forward_heartbeats(self._store, range(first, end), self._clock()),
        )

    def drain(self) -> None:
        """Release held reports, and wait until every report is confirmed."""
        self._store.release_held()
        self._publisher.notify()
        while not self._stop.is_set() and not self._publisher.empty():
            self._step(_IDLE)

    def answer_requests(self, until: Callable[[], bool]) -> None:
        """Answer resync requests until a condition holds.

        After the first call, the other methods answer requests too.

        Args:
            until: the condition, called a few times a second.
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
        """Run timed forward cycles and heartbeats and answer requests, until stopped.

        The cycles of the clients are spread evenly over the interval. Faults are injected into
        forward cycles only. While the broker is away, clients go on until the outbox holds enough.

        Args:
            forward_interval: length of a forward cycle, above zero.
            heartbeat_interval: a client that has forwarded nothing for this long sends a heartbeat.
        """
        self._publisher.listen()
        clients = self._plan.clients
        rate = clients / forward_interval.total_seconds()
        started, done, ahead = time.monotonic(), 0, 0
        look_again = 0.0
        while not self._stop.is_set():
            due = int((time.monotonic() - started) * rate) - done
            if due > 2 * clients:
                # After a long pause, missed cycles are skipped: clients that were switched off
                # would not make up for them either.
                done += due // clients * clients - clients
            if not self._publisher.away:
                ahead = 0
            if due > 0 and self._has_room(ahead):
                some = self._forward_some(done % clients, due)
                done, ahead = done + some, ahead + some
            if time.monotonic() >= look_again and self._has_room(ahead):
                quiet = self._forward_heartbeats(heartbeat_interval)
                ahead += quiet
                # The search reads every client, so it pauses for a fraction of the interval.
                pause = min(heartbeat_interval.total_seconds() / 10, _LOOK)
                look_again = time.monotonic() + (0 if quiet == _CHUNK else pause)
            hurry = due > _CHUNK and self._has_room(ahead)
            self._step(0 if hurry else _IDLE)

    def _for_all(self, step: str, act: Callable[[int, int], None]) -> None:
        clients = self._plan.clients
        for first in range(0, clients, _CHUNK):
            while self._publisher.busy and not self._stop.is_set():
                self._step(_IDLE)
            if self._stop.is_set():
                return
            end = min(first + _CHUNK, clients)
            act(first, end)
            self._publisher.notify()
            self._step(0)
            if self._on_progress is not None:
                self._on_progress(Progress(step, end, clients))

    def _forward_cycles(self, first: int, end: int) -> None:
        forward_cycles(self._store, self._plan, first, end, self._clock())

    def _has_room(self, ahead: int) -> bool:
        """Whether the outbox may take more; `ahead` counts what was made while disconnected."""
        if self._publisher.away:
            return ahead < _AHEAD
        return not self._publisher.busy

    def _forward_some(self, first: int, due: int) -> int:
        """Run the forward cycle of the next due clients, at most a chunk; returns their number."""
        end = min(first + min(due, _CHUNK), self._plan.clients)
        self._forward_cycles(first, end)
        self._publisher.notify()
        _log.debug("producers.reports_forwarded", first_client=first, clients=end - first)
        return end - first

    def _forward_heartbeats(self, interval: timedelta) -> int:
        now = self._clock()
        quiet = self._store.quiet_clients(self._plan.clients, now - interval, now, _CHUNK)
        if quiet:
            forward_heartbeats(self._store, quiet, now)
            self._publisher.notify()
            _log.info("producers.heartbeats_forwarded", clients=len(quiet))
        return len(quiet)

    def _answer(self, bodies: list[bytes]) -> None:
        answer_requests(self._store, bodies, self._clock())

    def _step(self, timeout: float) -> None:
        try:
            self._publisher.step(timeout)
        except BrokerUnavailable:
            # Expected after a stop, which ends the wait for a first connection.
            if not self._stop.is_set():
                raise
