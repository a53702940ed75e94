"""The numbers of a scrape as metric families. Pure.

No label grows with the number of clients or workers: their values come from closed lists.
"""

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version

from prometheus_client.core import GaugeMetricFamily, Metric

from console.queries.clients import Condition
from console.queries.rows import Totals
from console.queries.workers import WorkerRow
from console.status.gather import QueueStatus
from schemas.counts import UNKNOWN
from schemas.refusal import Reason
from schemas.topology import RESYNC, is_reply_queue
from schemas.workers import Role
from web.metrics.letters import DeadLetters
from web.metrics.measuring import DatabaseNumbers, Measured, TaskTurn
from web.metrics.work import work_families

#: The queues of all fleets, as one value of the label `queue`.
REPLY_QUEUES = f"{RESYNC}.*"


def single(name: str, text: str, value: float) -> GaugeMetricFamily:
    """A family of one value without labels."""
    return by_label(name, text, (), {(): value})


def by_label(
    name: str, text: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]
) -> GaugeMetricFamily:
    """A family of one value for the values of each label."""
    family = GaugeMetricFamily(f"statesys_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def families(measured: Measured, dead: DeadLetters | None) -> Iterator[Metric]:
    """Everything that is known, whichever server is away.

    Args:
        dead: None while they are not known.
    """
    yield _build_info()
    yield _up(measured)
    if measured.broker is not None:
        yield from _queues(measured.broker.queues)
    if dead is not None:
        yield _dead_letters(dead)
    if measured.database is not None:
        yield from _of_database(measured.database)


def _build_info() -> Metric:
    about = (version("statesys"), platform.python_version())
    text = "1; its labels describe the program."
    return by_label("build_info", text, ("version", "python"), {about: 1})


def _up(measured: Measured) -> Metric:
    up: dict[tuple[str, ...], float] = {
        ("broker",): measured.broker is not None,
        ("database",): measured.database is not None,
    }
    if measured.broker is not None and measured.broker.management is not None:
        up["management",] = measured.broker.management
    return by_label("up", "1 if a server of the site answered, 0 if not.", ("server",), up)


def _queues(queues: Iterable[QueueStatus]) -> Iterator[Metric]:
    messages: Counter[tuple[str, ...]] = Counter()
    consumers: Counter[tuple[str, ...]] = Counter()
    available: dict[tuple[str, ...], int] = {}
    for queue in queues:
        name = REPLY_QUEUES if is_reply_queue(queue.name) else queue.name
        if queue.ready is None or queue.consumers is None:
            # It is not declared yet.
            continue
        messages[name, "ready"] += queue.ready
        consumers[name,] += queue.consumers
        if queue.available is not None:
            available[name,] = min(available.get((name,), 1), int(queue.available))
        if queue.unacked is not None:
            messages[name, "unacked"] += queue.unacked
    yield by_label(
        "queue_messages",
        "Messages in a queue: ready, or unacked (delivered and not settled; some seconds old).",
        ("queue", "state"),
        messages,
    )
    yield by_label("queue_consumers", "Consumers of a queue.", ("queue",), consumers)
    yield by_label(
        "queue_available",
        "1 if a queue takes and gives messages, 0 if not; of the fleets' queues, 1 if all do.",
        ("queue",),
        available,
    )


def _dead_letters(dead: DeadLetters) -> Metric:
    counts = Counter({reason.value: 0 for reason in Reason} | {UNKNOWN: 0})
    for one in dead.counts:
        # A reason comes from a header, which anybody may write.
        counts[one.reason if one.reason in counts else UNKNOWN] += one.letters
    return by_label(
        "dead_letters",
        "Dead letters by reason, of the oldest 10,000; statesys_queue_messages counts all.",
        ("reason",),
        {(reason,): count for reason, count in counts.items()},
    )


def _of_database(numbers: DatabaseNumbers) -> Iterator[Metric]:
    totals, history = numbers.totals, numbers.history
    clients = numbers.completeness.clients
    yield by_label(
        "clients",
        "Clients by condition.",
        ("condition",),
        {(condition.value,): clients.get(condition.value, 0) for condition in Condition},
    )
    yield single(
        "clients_counted_timestamp_seconds",
        "When the clients were counted: now at a small site, else by a periodic task.",
        numbers.completeness.as_of.timestamp(),
    )
    yield single("missing_ranges", "Open missing ranges.", totals.missing_ranges)
    yield single("missing_serials", "Serials in open missing ranges.", totals.missing_serials)
    oldest = numbers.oldest_missing
    yield by_label(
        "missing_range_oldest_timestamp_seconds",
        "When the oldest open missing range was detected; absent without one.",
        (),
        {} if oldest is None else {(): oldest.timestamp()},
    )
    yield _resyncs(totals)
    yield single("history_bytes", "Size of the history, indexes included.", history.bytes)
    yield single(
        "history_partitions_ahead", "Coming days whose partition exists.", history.days_ahead
    )
    yield from _tasks(numbers.tasks)
    yield from _workers(numbers.workers)
    yield from work_families(numbers.worker_totals, numbers.worker_counts)


def _resyncs(totals: Totals) -> Metric:
    return by_label(
        "resyncs",
        "Resync requests that are kept: waiting for their moment, sent, answered, unanswered.",
        ("state",),
        {
            ("waiting",): totals.unsent,
            ("sent",): totals.pending - totals.unsent,
            ("answered",): totals.answered,
            ("unanswered",): totals.unanswered,
        },
    )


def _tasks(turns: Iterable[TaskTurn]) -> Iterator[Metric]:
    known = [(turn, turn.interval) for turn in turns if turn.interval is not None]
    yield by_label(
        "task_last_success_timestamp_seconds",
        "When a periodic task of the site was done last, by any loader.",
        ("task",),
        {(turn.name,): turn.done_at.timestamp() for turn, _ in known},
    )
    yield by_label(
        "task_interval_seconds",
        "After which time a periodic task is due again.",
        ("task",),
        {(turn.name,): interval.total_seconds() for turn, interval in known},
    )


def _workers(workers: Iterable[WorkerRow]) -> Iterator[Metric]:
    counts: Counter[tuple[str, ...]] = Counter(
        {(role.value, state): 0 for role in Role for state in ("running", "late")}
    )
    seen: dict[str, list[datetime]] = {}
    for worker in workers:
        counts[worker.role, "late" if worker.late else "running"] += 1
        seen.setdefault(worker.role, []).append(worker.seen_at)
    yield by_label(
        "workers",
        "Workers that have not told their end; late: lost within a day, not seen for a minute.",
        ("role", "condition"),
        counts,
    )
    heartbeats: dict[tuple[str, ...], float] = {
        (role, which): of(moments).timestamp()
        for role, moments in seen.items()
        for which, of in (("oldest", min), ("newest", max))
    }
    yield by_label(
        "worker_heartbeat_timestamp_seconds",
        "When the last heartbeat of a worker was stored: the oldest and the newest of a role.",
        ("role", "which"),
        heartbeats,
    )
