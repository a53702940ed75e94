"""Messages that the relay publishes: batches, and dead letters of refused reports."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import NamedTuple

import structlog

from relay.batcher import Closed
from runtime.broker import Delivery, Properties
from runtime.broker.dead_letters import dead_letter
from runtime.broker.messages import batch_properties
from schemas.counts import Counts, refused
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.topology import DEAD
from schemas.workers import Counters

_log = structlog.get_logger()


class Outgoing(NamedTuple):
    """A message that the relay publishes again until the broker confirms it.

    Attributes:
        tags: delivery tags of the reports to settle after the confirm.
        queue: target queue.
        tell: writes the log line after the confirm.
        counters, counts: what to count after the confirm.
    """

    tags: tuple[int, ...]
    queue: str
    body: bytes
    properties: Properties
    log: Callable[[], None]
    counters: Counters
    counts: Counts | None = None


def of_batch(batch: Closed, *, now: datetime) -> Outgoing:
    """Build the message of a batch; `now` is timezone-aware."""
    reports = len(batch.tags)
    properties = batch_properties(
        batch.batch_id, reports=reports, messages=batch.messages, sent_at=now
    )
    log = partial(
        _log.info,
        "relay.batch_sent",
        batch=str(batch.batch_id),
        queue=batch.queue,
        reports=reports,
        messages=batch.messages,
        canonical=batch.canonical,
        bytes=len(batch.body),
    )
    counters = Counters(reports=reports, batches=1, messages=batch.messages)
    return Outgoing(batch.tags, batch.queue, batch.body, properties, log, counters)


def of_refused(delivery: Delivery, refusal: Refused, *, now: datetime) -> Outgoing:
    """Build the dead letter of a refused report; `now` is timezone-aware."""
    properties = dead_letter(
        delivery.properties, refusal, stage="relay", queue=delivery.queue, now=now
    )
    quarantined = refusal.reason is Reason.QUARANTINED
    # A storm is counted: one line for each of its reports would be a storm of lines.
    log = partial(
        _log.debug if quarantined else _log.warning,
        "relay.report_refused",
        reason=refusal.reason.value,
        detail=refusal.detail,
        bytes=len(delivery.body),
    )
    counters = Counters(reports=1, refused=1, quarantined=int(quarantined))
    counts = Counts({refused(refusal.reason): 1})
    return Outgoing((delivery.tag,), DEAD, delivery.body, properties, log, counters, counts)
