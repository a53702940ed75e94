"""What flows through the pipeline now, and what was seen of it in the last minutes."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple

from console.queries.workers import WorkerRow
from console.status.gather import BrokerStatus, DatabaseStatus, QueueStatus, Status
from schemas.topology import DEAD, RESYNC, is_incoming, is_reply_queue, is_reports


class Flow(NamedTuple):
    """Depths and rates at a moment; None is unknown.

    Attributes:
        arriving, relayed: reports a second that clients publish, and that relays settle.
        loaded: messages a second that loaders store.
        reports, batches, replies, dead: messages that wait, of reports, batches, requests for
            clients, and dead letters.
        relays, loaders: workers at work.
        messages: in the history; `exact` False is an estimate.
        pending: open resync requests.
        missing: messages that are known to be missing.
    """

    at: datetime
    arriving: float | None
    relayed: float | None
    loaded: float | None
    reports: int | None
    batches: int | None
    replies: int | None
    dead: int | None
    relays: int | None
    loaders: int | None
    clients: int | None
    messages: int | None
    exact: bool
    pending: int | None
    missing: int | None


def flow(status: Status, before: Flow | None) -> Flow:
    """What flows.

    Args:
        before: at an earlier moment, for rates that no server tells.
    """
    broker, half = status.broker, status.database
    reports = _depth(broker, is_reports)
    relayed = _of_reports(broker, lambda queue: queue.settled)
    if relayed is None:
        relayed = _rate(half, "relay", lambda worker: worker.reports_per_second)
    return Flow(
        at=status.at,
        arriving=_arriving(broker, relayed, reports, status.at, before),
        relayed=relayed,
        loaded=_rate(half, "loader", lambda worker: worker.messages_per_second),
        reports=reports,
        batches=_depth(broker, is_incoming),
        replies=_depth(broker, lambda name: name == RESYNC or is_reply_queue(name)),
        dead=_dead(broker),
        relays=_at_work(half, "relay"),
        loaders=_at_work(half, "loader"),
        clients=half.totals.clients if half else None,
        messages=half.messages if half else None,
        exact=half.messages_exact if half else True,
        pending=half.totals.pending if half else None,
        missing=half.totals.missing_serials if half else None,
    )


def _depth(broker: BrokerStatus | None, chosen: Callable[[str], bool]) -> int | None:
    if broker is None:
        return None
    return sum(queue.ready or 0 for queue in broker.queues if chosen(queue.name))


def _dead(broker: BrokerStatus | None) -> int | None:
    """All dead letters: those that were seen, because a depth leaves out what is looked at."""
    depth = _depth(broker, lambda name: name == DEAD)
    if broker is None or depth is None:
        return None
    seen = sum(count.letters for count in broker.dead)
    return max(seen, depth)


def _of_reports(
    broker: BrokerStatus | None, rate: Callable[[QueueStatus], float | None]
) -> float | None:
    """The sum over the queues of reports; None when it is unknown for all."""
    queues = broker.queues if broker else ()
    known = [rate(queue) for queue in queues if is_reports(queue.name)]
    return sum(filter(None, known)) if any(one is not None for one in known) else None


def _arriving(
    broker: BrokerStatus | None,
    relayed: float | None,
    reports: int | None,
    at: datetime,
    before: Flow | None,
) -> float | None:
    """What the management API tells, or else what was taken and what the queue grew by."""
    incoming = _of_reports(broker, lambda queue: queue.incoming)
    if incoming is not None:
        return incoming
    if relayed is None or reports is None or before is None or before.reports is None:
        return None
    seconds = (at - before.at).total_seconds()
    return max(relayed + (reports - before.reports) / seconds, 0.0) if seconds > 0 else None


def _workers(half: DatabaseStatus, role: str) -> Iterable[WorkerRow]:
    return (worker for worker in half.workers if worker.role == role and not worker.late)


def _at_work(half: DatabaseStatus | None, role: str) -> int | None:
    return None if half is None else sum(1 for _ in _workers(half, role))


def _rate(
    half: DatabaseStatus | None, role: str, of: Callable[[WorkerRow], float | None]
) -> float | None:
    """The sum over the workers at work, from the counters of their two newest heartbeats."""
    if half is None:
        return None
    rates = [of(worker) for worker in _workers(half, role)]
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known or not rates else None
