"""A dead letter: the original message, with headers that say why it was refused.

`dead_letter` makes its properties, `read_dead_letter` reads them whatever the headers hold, and
`replayed` restores the original properties.

Our dead letters give the reason in `statesys-*` headers. Those that the broker made (after too
many redeliveries) have `x-death` instead, and their stage is `broker`. Headers of the original
message come from strangers: their types are not trusted here.

**Identity.** The name of a dead letter is its `message_id`, or else the first 16 digits of its
body's SHA-256. Dead letters with one name are copies of one message, and are chosen together.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from runtime.broker import UNREADABLE, Delivery, Properties, headers_size
from runtime.broker.messages import contents_of
from runtime.printable import printable
from schemas.errors import Refused
from schemas.topology import shard_of

#: The headers that give the reason; a replay removes them.
_WHY = STAGE, REASON, DETAIL, QUEUE = (
    "statesys-stage",
    "statesys-reason",
    "statesys-detail",
    "statesys-queue",
)
#: A replay keeps this header: a message that is refused again still shows how old it is.
FIRST_REFUSED_AT = "statesys-first-refused-at"
#: Headers that make RabbitMQ send copies to further queues. We publish dead letters to the default
#: exchange with our permissions, so with these headers a client could write to any queue: it could
#: send a message that is refused, and thereby a resync request to another fleet.
_COPIES = ("CC", "BCC")
#: Bytes of the original headers; RabbitMQ closes a connection whose properties exceed 128 KiB.
_MAX_HEADERS = 64 * 1024
#: Characters of a detail; header tables must stay small.
_MAX_DETAIL = 500
#: Headers that the broker adds: to its own dead letters, and to count deliveries.
_DEATHS, _DELIVERY_COUNT = "x-death", "x-delivery-count"
_ADDED_BY_BROKER = ("x-first-death-", "x-last-death-")
_NAME = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One dead letter, without its body.

    Attributes:
        name: see "Identity" in the module's docstring.
        stage: who refused it: `relay`, `loader`, `broker`, or `unknown`.
        reason: one of `schemas.refusal.Reason`, or the broker's reason.
        queue: where it came from; None when unknown.
        client: from the headers; empty when they have none.
        first_serial, last_serial: from the headers; None when they are not serials.
        first_refused_at: ISO 8601, empty when unknown.
        size: of the body, in bytes.
    """

    name: str
    stage: str
    reason: str
    detail: str
    queue: str | None
    client: str
    first_serial: int | None
    last_serial: int | None
    first_refused_at: str
    size: int

    @property
    def serials(self) -> str:
        """The serials in words; empty when unknown."""
        if self.first_serial is None or self.last_serial is None:
            return ""
        if self.first_serial == self.last_serial:
            return str(self.first_serial)
        return f"{self.first_serial}-{self.last_serial}"

    @property
    def refused_at(self) -> datetime | None:
        """The moment of `first_refused_at`, in UTC; None when it is unknown, or no moment."""
        try:
            found = datetime.fromisoformat(self.first_refused_at)
            # The broker's own moments have no zone, and are UTC.
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            return None

    @property
    def client_id(self) -> UUID | None:
        """The client; None when the headers hold no client id."""
        try:
            return UUID(self.client)
        except ValueError:
            return None

    @property
    def replayable(self) -> bool:
        """Whether a replay may put it back into its queue.

        Work queues only, so that the sender of a header cannot make us write to another queue.
        """
        return self.queue is not None and shard_of(self.queue) is not None

    def as_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "id": self.name,
            "stage": self.stage,
            "reason": self.reason,
            "detail": self.detail,
            "queue": self.queue,
            "client_id": self.client,
            "first_serial": self.first_serial,
            "last_serial": self.last_serial,
            "first_refused_at": self.first_refused_at,
            "size": self.size,
        }


def dead_letter(
    original: Properties, refusal: Refused, *, stage: str, queue: str, now: datetime
) -> Properties:
    """Properties of the dead letter: the original ones and our headers.

    A message that was replayed and refused again keeps the time of its first refusal.

    Args:
        original: properties of the refused message; not changed.
        refusal: which rule it broke, and how; the detail is cut to 500 characters.
        stage: who refused it, `relay` or `loader`.
        queue: the queue that held it; a replay puts it back there.
        now: aware.
    """
    headers = _safe_headers(original.headers or {})
    headers[STAGE] = stage
    headers[REASON] = refusal.reason.value
    headers[DETAIL] = refusal.detail[:_MAX_DETAIL]
    headers[QUEUE] = queue
    headers.setdefault(FIRST_REFUSED_AT, now.isoformat())
    return _publishable(original, headers)


def read_dead_letter(delivery: Delivery) -> Letter:
    """Read a dead letter; never raises."""
    headers = headers_of(delivery.properties)
    death = _death(headers)
    ours = headers.get(STAGE) is not None
    queue = headers.get(QUEUE) if ours else death.get("queue")
    client, first, last = contents_of(headers)
    return Letter(
        name=_name(delivery),
        stage=printable(headers[STAGE]) if ours else ("broker" if death else "unknown"),
        reason=printable(headers.get(REASON) if ours else death.get("reason")) or "unknown",
        detail=printable(headers.get(DETAIL) if ours else _broker_detail(death), limit=_MAX_DETAIL),
        queue=printable(queue) or None,
        client=printable(client, limit=64),
        first_serial=first,
        last_serial=last,
        first_refused_at=printable(headers.get(FIRST_REFUSED_AT) or death.get("time")),
        size=len(delivery.body),
    )


def headers_of(properties: Properties) -> Mapping[str, Any]:
    """The headers; an empty table if there are none.

    The broker's count of deliveries is left out, because it grows with every read.
    """
    headers = properties.headers
    if not isinstance(headers, Mapping):
        return {}
    return {key: value for key, value in headers.items() if key != _DELIVERY_COUNT}


def replayed(properties: Properties) -> Properties:
    """The original properties, to put a dead letter back into its queue."""
    headers = {
        key: value
        for key, value in headers_of(properties).items()
        if key not in (*_WHY, _DEATHS) and not key.startswith(_ADDED_BY_BROKER)
    }
    return _publishable(properties, headers)


def _publishable(original: Properties, headers: dict[str, Any]) -> Properties:
    """The original properties that we may publish again, with other headers."""
    return Properties(
        content_type=original.content_type,
        content_encoding=original.content_encoding,
        headers=headers or None,
        delivery_mode=2,
        priority=original.priority,
        correlation_id=original.correlation_id,
        reply_to=original.reply_to,
        # No expiration: a dead letter stays until it is taken.
        message_id=original.message_id,
        timestamp=original.timestamp,
        type=original.type,
        # No user_id: RabbitMQ refuses a message with a user_id other than ours.
        app_id=original.app_id,
        cluster_id=original.cluster_id,
    )


def _safe_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The original headers that we may publish again."""
    ours = (*_WHY, FIRST_REFUSED_AT)
    kept = {key: value for key, value in headers.items() if key not in (*ours, *_COPIES)}
    size = headers_size(kept)
    if size > _MAX_HEADERS:
        kept = {UNREADABLE: f"{size} bytes are more than fit beside ours"}
    first = headers.get(FIRST_REFUSED_AT)
    if isinstance(first, str) and len(first) <= len("2011-01-07T18:40:30.662000+00:00"):
        kept[FIRST_REFUSED_AT] = first
    return kept


def _name(delivery: Delivery) -> str:
    given = delivery.properties.message_id
    if isinstance(given, str) and _NAME.fullmatch(given):
        return given
    return sha256(delivery.body).hexdigest()[:16]


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The newest entry of `x-death`, empty when there is none."""
    deaths = headers.get(_DEATHS)
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    return newest if isinstance(newest, Mapping) else {}


def _broker_detail(death: Mapping[str, Any]) -> str:
    if not death:
        return ""
    return f"the broker gave it up in {printable(death.get('queue'))}"
