"""What a dead letter looks like: the original, with headers that say why it lies there."""

from datetime import datetime
from typing import Any

from runtime.broker import Properties
from schemas.refusal import Reason

STAGE, REASON, DETAIL, QUEUE, FIRST_REFUSED_AT = (
    "statesys-stage",
    "statesys-reason",
    "statesys-detail",
    "statesys-queue",
    "statesys-first-refused-at",
)
#: Characters of a detail; header tables are no place for essays.
_MAX_DETAIL = 500


def dead_letter(
    original: Properties,
    *,
    stage: str,
    reason: Reason,
    detail: str,
    queue: str,
    now: datetime,
) -> Properties:
    """Properties of the letter: the original ones and our headers.

    A letter that was replayed and refused again keeps the moment of its first refusal.

    Args:
        original: properties of the refused message; not changed.
        stage: who refused it, `relay` or `loader`.
        reason: which rule it broke.
        detail: one sentence; cut to 500 characters.
        queue: where it was taken from, and where a replay puts it back.
        now: aware.
    """
    headers: dict[str, Any] = dict(original.headers or {})
    headers[STAGE] = stage
    headers[REASON] = reason.value
    headers[DETAIL] = detail[:_MAX_DETAIL]
    headers[QUEUE] = queue
    headers.setdefault(FIRST_REFUSED_AT, now.isoformat())
    return Properties(
        content_type=original.content_type,
        content_encoding=original.content_encoding,
        headers=headers,
        delivery_mode=2,
        priority=original.priority,
        correlation_id=original.correlation_id,
        reply_to=original.reply_to,
        # No expiration: a letter lies until somebody takes it.
        message_id=original.message_id,
        timestamp=original.timestamp,
        type=original.type,
        # No user_id: RabbitMQ refuses a message that names another user than ours.
        app_id=original.app_id,
        cluster_id=original.cluster_id,
    )
