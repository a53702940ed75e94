"""A dead letter: the original message, with headers that say why it lies there.

`dead_letter` writes it, `read_letter` reads it whatever its headers hold, `replayed` undoes it.

A letter of ours says in `statesys-*` headers why it lies there. One that the broker made (after
too many redeliveries) has `x-death` instead, and shows as stage `broker`. Headers of the original
message come from strangers: nothing here trusts their types.

**Identity.** A letter is named by its `message_id`; one without is named by the first 16 digits of
its body's SHA-256. Letters of one name are copies of one message, and are chosen together.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from runtime.broker import UNREADABLE, Delivery, Properties, headers_size
from runtime.broker.messages import contents_of
from runtime.printable import printable
from schemas.errors import Refused
from schemas.topology import WORK

#: Why a letter lies there; a replay leaves these headers out.
_WHY = STAGE, REASON, DETAIL, QUEUE = (
    "statesys-stage",
    "statesys-reason",
    "statesys-detail",
    "statesys-queue",
)
#: Stays when a letter is replayed: refused again, it still tells how old it is.
FIRST_REFUSED_AT = "statesys-first-refused-at"
#: Headers by which RabbitMQ sends copies to further queues. Taken over into a letter, which goes
#: through the default exchange with our rights, they would reach every queue there is: a client
#: could refuse itself on purpose and so write resync requests to another's fleet.
_COPIES = ("CC", "BCC")
#: Bytes of the original headers; RabbitMQ closes a connection whose properties exceed 128 KiB.
_MAX_HEADERS = 64 * 1024
#: Characters of a detail; header tables are no place for essays.
_MAX_DETAIL = 500
#: What the broker adds to its own letters and counts.
_DEATHS, _DELIVERY_COUNT = "x-death", "x-delivery-count"
_ADDED_BY_BROKER = ("x-first-death-", "x-last-death-")
_NAME = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One dead letter, without its body.

    Attributes:
        name: see the module's text.
        stage: who refused it: `relay`, `loader`, `broker`, or `unknown`.
        reason: one of `schemas.refusal.Reason`, or what the broker says.
        queue: where it came from; None when nobody knows.
        client: as the headers have it; empty when they have none.
        first_serial, last_serial: as the headers have them, None when they are no serials.
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
    def client_id(self) -> UUID | None:
        """The client, None when the headers name none."""
        try:
            return UUID(self.client)
        except ValueError:
            return None

    @property
    def replayable(self) -> bool:
        """Whether it is known where to put it back.

        Work queues only: nobody makes us write into another queue by a header.
        """
        return self.queue in WORK

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
    """Properties of the letter: the original ones and our headers.

    A letter that was replayed and refused again keeps the moment of its first refusal.

    Args:
        original: properties of the refused message; not changed.
        refusal: which rule it broke, and how; the detail is cut to 500 characters.
        stage: who refused it, `relay` or `loader`.
        queue: where it was taken from, and where a replay puts it back.
        now: aware.
    """
    headers = _without_danger(original.headers or {})
    headers[STAGE] = stage
    headers[REASON] = refusal.reason.value
    headers[DETAIL] = refusal.detail[:_MAX_DETAIL]
    headers[QUEUE] = queue
    headers.setdefault(FIRST_REFUSED_AT, now.isoformat())
    return _lasting(original, headers)


def read_dead_letter(delivery: Delivery) -> Letter:
    """Read what a letter says of itself; never raises."""
    headers = headers_of(delivery.properties)
    death = _death(headers)
    ours = headers.get(STAGE) is not None
    queue = headers.get(QUEUE) if ours else death.get("queue")
    client, first, last = contents_of(headers)
    return Letter(
        name=_name(delivery),
        stage=printable(headers[STAGE]) if ours else ("broker" if death else "unknown"),
        reason=printable(headers.get(REASON) if ours else death.get("reason")) or "unknown",
        detail=printable(headers.get(DETAIL) if ours else _obituary(death), limit=_MAX_DETAIL),
        queue=printable(queue) or None,
        client=printable(client, limit=64),
        first_serial=first,
        last_serial=last,
        first_refused_at=printable(headers.get(FIRST_REFUSED_AT) or death.get("time")),
        size=len(delivery.body),
    )


def headers_of(properties: Properties) -> Mapping[str, Any]:
    """The headers; an empty table where there are none.

    Without the broker's count of deliveries, which grows with every look.
    """
    headers = properties.headers
    if not isinstance(headers, Mapping):
        return {}
    return {key: value for key, value in headers.items() if key != _DELIVERY_COUNT}


def replayed(properties: Properties) -> Properties:
    """Properties to put a letter back with: the original ones."""
    headers = {
        key: value
        for key, value in headers_of(properties).items()
        if key not in (*_WHY, _DEATHS) and not key.startswith(_ADDED_BY_BROKER)
    }
    return _lasting(properties, headers)


def _lasting(original: Properties, headers: dict[str, Any]) -> Properties:
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


def _obituary(death: Mapping[str, Any]) -> str:
    if not death:
        return ""
    return f"the broker gave it up in {printable(death.get('queue'))}"
