"""What all workers have done, as counters and histograms. Pure.

They never fall, not even when a worker ends: the database keeps the sums.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from console.queries.workers import WorkerCount, WorkerTotals
from schemas.counts import (
    CHUNK_DURATION,
    QUEUE_TIME,
    UNKNOWN,
    Counts,
    Histogram,
    Verdict,
    loaded,
    refused,
)
from schemas.refusal import Reason
from schemas.workers import Role

#: The verdict of a message that the database refused; it is dead-lettered, not loaded.
POISON = "poison"
#: The values of a family, by the values of its labels.
Values: TypeAlias = dict[tuple[str, ...], float]
_REASONS = (*Reason, UNKNOWN)


def work_families(
    totals: Iterable[WorkerTotals], counts: Iterable[WorkerCount]
) -> Iterator[Metric]:
    """The families of relays and loaders, also before there was any.

    Args:
        totals: by role, and `counts` the finer ones.
    """
    none = (0,) * (len(WorkerTotals._fields) - 1)
    by_role = {role.value: WorkerTotals(role.value, *none) for role in Role}
    by_role |= {one.role: one for one in totals}
    finer = {role.value: Counts() for role in Role}
    for one in counts:
        finer.setdefault(one.role, Counts())[one.name] += one.value
    yield _counter(
        "worker_runs",
        "Starts of workers that told of themselves.",
        ("role",),
        {(role.value,): by_role[role.value].workers for role in Role},
    )
    yield from _of_relays(by_role[Role.RELAY.value], finer[Role.RELAY.value])
    yield from _of_loaders(by_role[Role.LOADER.value], finer[Role.LOADER.value])


def _of_relays(totals: WorkerTotals, counts: Counts) -> Iterator[Metric]:
    # Heartbeats are not trusted, and a counter below zero is none.
    reports: Values = {("forwarded", ""): max(totals.reports - totals.refused, 0)}
    for reason, count in _by_reason(counts):
        result = "quarantined" if reason == Reason.QUARANTINED else "refused"
        reports[result, reason] = count
    yield _counter(
        "relay_reports",
        "Reports that relays settled: forwarded, or refused, also those of clients in quarantine.",
        ("result", "reason"),
        reports,
    )
    yield _single("relay_batches", "Batches that relays sent.", totals.batches)
    text = "State messages in the batches that relays sent."
    yield _single("relay_messages", text, totals.messages)


def _of_loaders(totals: WorkerTotals, counts: Counts) -> Iterator[Metric]:
    messages: Values = {(str(one),): counts[loaded(one)] for one in (*Verdict, UNKNOWN)}
    messages[POISON,] = counts[refused(Reason.DATABASE)]
    yield _counter(
        "loader_messages",
        "State messages by what the database said; poison: refused, and dead-lettered.",
        ("verdict",),
        messages,
    )
    yield _counter(
        "loader_dead_letters",
        "Dead letters that loaders made.",
        ("reason",),
        {(reason,): count for reason, count in _by_reason(counts)},
    )
    yield _single("loader_chunks", "Chunks that loaders loaded.", totals.chunks)
    yield _histogram(
        "loader_chunk_duration_seconds", "How long loading a chunk took.", CHUNK_DURATION, counts
    )
    yield _histogram(
        "loader_queue_time_seconds",
        "Time of state messages from received by a relay to loaded, by the clocks of both.",
        QUEUE_TIME,
        counts,
    )


def _by_reason(counts: Counts) -> Iterator[tuple[str, int]]:
    """Dead letters by reason; those of a reason that is not known here count as unknown."""
    known = {str(reason): counts[refused(reason)] for reason in _REASONS}
    every = sum(count for name, count in counts.items() if name.startswith(refused("")))
    known[UNKNOWN] += every - sum(known.values())
    yield from known.items()


def _counter(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    family = CounterMetricFamily(f"statesys_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _single(name: str, text: str, value: float) -> Metric:
    return _counter(name, text, (), {(): value})


def _histogram(name: str, text: str, histogram: Histogram, counts: Counts) -> Metric:
    buckets = [
        ("+Inf" if bucket.bound is None else str(bucket.bound), bucket.observations)
        for bucket in histogram.buckets(counts)
    ]
    return HistogramMetricFamily(
        f"statesys_{name}", text, buckets=buckets, sum_value=histogram.seconds(counts)
    )
