"""What a dead letter looks like: the original, with headers that say why it lies there."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from runtime.broker import UNREADABLE, Properties, headers_size
from schemas.refusal import Reason

STAGE, REASON, DETAIL, QUEUE, FIRST_REFUSED_AT = (
    "statesys-stage",
    "statesys-reason",
    "statesys-detail",
    "statesys-queue",
    "statesys-first-refused-at",
)
_OURS = (STAGE, REASON, DETAIL, QUEUE, FIRST_REFUSED_AT)
#: Headers by which RabbitMQ sends copies to further queues. Taken over into a letter, which goes
#: through the default exchange with our rights, they would reach every queue there is: a client
#: could refuse itself on purpose and so write resync requests to another's fleet.
_COPIES = ("CC", "BCC")
#: Bytes of the original headers; RabbitMQ closes a connection whose properties exceed 128 KiB.
_MAX_HEADERS = 64 * 1024
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
    headers = _without_danger(original.headers or {})
    headers[STAGE] = stage
    headers[REASON] = reason.value
    headers[DETAIL] = detail[:_MAX_DETAIL]
    headers[QUEUE] = queue
    headers.setdefault(FIRST_REFUSED_AT, now.isoformat())
    return lasting(original, headers)


def lasting(original: Properties, headers: dict[str, Any]) -> Properties:
    """The original properties, as far as they can be sent on, with other headers."""
    return Properties(
        content_type=original.content_type,
        content_encoding=original.content_encoding,
        headers=headers or None,
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


def _without_danger(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The original headers, as far as they can be sent on."""
    kept = {key: value for key, value in headers.items() if key not in (*_OURS, *_COPIES)}
    size = headers_size(kept)
    if size > _MAX_HEADERS:
        kept = {UNREADABLE: f"{size} bytes are more than fit beside ours"}
    first = headers.get(FIRST_REFUSED_AT)
    if isinstance(first, str) and len(first) <= len("2011-01-07T18:40:30.662000+00:00"):
        kept[FIRST_REFUSED_AT] = first
    return kept
