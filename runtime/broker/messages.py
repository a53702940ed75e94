"""AMQP properties and headers of reports, batches and requests, as `docs/wire.md` defines them.

The workers do not depend on the headers. They are for people, and for `verify` and `trace`: they
still show the contents of a message whose body was damaged.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from runtime.broker import Properties, persistent
from schemas.serials import FIRST_SERIAL, LAST_SERIAL

if TYPE_CHECKING:
    # lxml is slow to import, and headers are read without it.
    from schemas.resync import ResyncRequest

_CLIENT_ID, _FIRST_SERIAL, _LAST_SERIAL = "client_id", "first_serial", "last_serial"
_MESSAGES = "messages"


def report_properties(
    client_id: UUID,
    *,
    first_serial: int | None,
    last_serial: int | None,
    messages: int,
    message_id: UUID,
    **more: Any,
) -> Properties:
    """Properties of a report.

    Args:
        first_serial, last_serial: None when its messages have no serials.
        message_id: the same for every attempt.
        more: `timestamp`, `reply_to`, `correlation_id`.
    """
    headers = {
        _CLIENT_ID: str(client_id),
        _FIRST_SERIAL: first_serial,
        _LAST_SERIAL: last_serial,
        _MESSAGES: messages,
    }
    return _xml(message_id, headers, **more)


def batch_properties(
    batch_id: UUID, *, reports: int, messages: int, sent_at: datetime
) -> Properties:
    """Properties of a batch; `sent_at` is aware."""
    headers = {"reports": reports, _MESSAGES: messages}
    return _xml(batch_id, headers, timestamp=int(sent_at.timestamp()))


def request_properties(request: "ResyncRequest", *, expires_after: timedelta) -> Properties:
    """Properties of a resync request."""
    headers = {
        _CLIENT_ID: str(request.client_id),
        "reason": request.reason.value,
        "highest_serial": request.highest_serial,
        "ranges": len(request.ranges),
    }
    return _xml(
        request.request_id,
        headers,
        correlation_id=str(request.request_id),
        expiration=str(round(expires_after.total_seconds() * 1000)),
    )


def contents_of(headers: Mapping[str, Any]) -> tuple[object, int | None, int | None]:
    """Client, first and last serial from a report's headers.

    Senders are not trusted: the client may be of any type, and an invalid serial is None.
    """
    return (
        headers.get(_CLIENT_ID),
        _serial(headers.get(_FIRST_SERIAL)),
        _serial(headers.get(_LAST_SERIAL)),
    )


def _xml(message_id: UUID, headers: dict[str, Any], **more: Any) -> Properties:
    return persistent(
        content_type="application/xml", message_id=str(message_id), headers=headers, **more
    )


def _serial(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if FIRST_SERIAL <= value <= LAST_SERIAL else None
    return None
