"""A dead letter as a value, whatever its headers hold.

A letter of ours says in `statesys-*` headers why it lies there. One that the broker made (after
too many redeliveries) has `x-death` instead, and shows as stage `broker`. Headers of the original
message come from strangers: nothing here trusts their types.

**Identity.** A letter is named by its `message_id`; one without is named by the first 16 digits of
its body's SHA-256. Letters of one name are copies of one message, and are chosen together.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from console.printable import printable
from runtime.broker import Delivery, Properties
from runtime.dead_letters import DETAIL, FIRST_REFUSED_AT, QUEUE, REASON, STAGE, lasting
from schemas.serials import FIRST_SERIAL, LAST_SERIAL
from schemas.topology import WORK

_NAME = re.compile(r"[!-~]{1,128}")
#: What the broker adds to its own letters, and what we add to ours: not the sender's.
_ADDED = frozenset({STAGE, REASON, DETAIL, QUEUE, "x-death"})
_DELIVERY_COUNT = "x-delivery-count"
_ADDED_BY_BROKER = ("x-first-death-", "x-last-death-")


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


def read_letter(delivery: Delivery) -> Letter:
    """Read what a letter says of itself; never raises."""
    headers = headers_of(delivery.properties)
    death = _death(headers)
    ours = headers.get(STAGE) is not None
    queue = headers.get(QUEUE) if ours else death.get("queue")
    return Letter(
        name=_name(delivery),
        stage=printable(headers[STAGE]) if ours else ("broker" if death else "unknown"),
        reason=printable(headers.get(REASON) if ours else death.get("reason")) or "unknown",
        detail=printable(headers.get(DETAIL) if ours else _obituary(death), limit=500),
        queue=printable(queue) or None,
        client=printable(headers.get("client_id"), limit=64),
        first_serial=_serial(headers.get("first_serial")),
        last_serial=_serial(headers.get("last_serial")),
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
    """Properties to put a letter back with: the original ones.

    The moment of the first refusal stays: refused again, the letter still tells how old it is.
    """
    headers = {
        key: value
        for key, value in headers_of(properties).items()
        if key not in _ADDED and not key.startswith(_ADDED_BY_BROKER)
    }
    return lasting(properties, headers)


def _name(delivery: Delivery) -> str:
    given = delivery.properties.message_id
    if isinstance(given, str) and _NAME.fullmatch(given):
        return given
    return sha256(delivery.body).hexdigest()[:16]


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The newest entry of `x-death`, empty when there is none."""
    deaths = headers.get("x-death")
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    return newest if isinstance(newest, Mapping) else {}


def _obituary(death: Mapping[str, Any]) -> str:
    if not death:
        return ""
    return f"the broker gave it up in {printable(death.get('queue'))}"


def _serial(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if FIRST_SERIAL <= value <= LAST_SERIAL else None
    return None
