"""What the store is asked for, as values."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class FleetClient(NamedTuple):
    """A client as others see it; `last_serial` 0 means it never numbered anything.

    Attributes:
        life: how often its store was lost or rolled back; a cloned machine begins elsewhere.
        highest_serial: the highest that any life of this machine gave.
    """

    client_id: UUID
    name: str
    version: str
    last_serial: int
    life: int = 0
    highest_serial: int = 0


class StoredState(NamedTuple):
    """The last state of a topic: serial and digest under which it was last sent.

    Both are None for a state that was recorded and waits for the client's next report.
    """

    client_id: UUID
    topic_type: int
    topic_id: str
    user_sid: str
    serial: int | None
    digest: bytes | None


class SentMessage(NamedTuple):
    """A numbered message, of whatever topic, however its report fared afterwards."""

    client_id: UUID
    serial: int
    digest: bytes
    life: int = 0


class OutboxRange(NamedTuple):
    """Serials of a report that no broker has confirmed yet; `held` back by a fault or not."""

    client_id: UUID
    first_serial: int
    last_serial: int
    message_id: UUID
    held: bool


class InjectedFault(NamedTuple):
    """A fault that was done on purpose; kinds as in `producers.faults` and `producers.hostile`."""

    fault: str
    client_id: UUID
    first_serial: int
    last_serial: int
    message_id: UUID
    injected_at: datetime
    life: int = 0


class Answer(NamedTuple):
    """A resync request that was answered, and the serial block of the answer."""

    request_id: UUID
    client_id: UUID
    first_serial: int
    last_serial: int
    answered_at: datetime


class Totals(NamedTuple):
    """Counts over the whole life of a store.

    Attributes:
        clients: in the store.
        reports: rendered, lost ones included.
        messages: numbered, of whatever topic.
        heartbeats: numbered.
        answered: resync requests.
        outbox: reports that wait for the broker's confirm.
    """

    clients: int
    reports: int
    messages: int
    heartbeats: int
    answered: int
    outbox: int


class Outgoing(NamedTuple):
    """A report in the outbox with all that is needed to publish it, again identically.

    Attributes:
        position: its place in the outbox; also what the confirm is matched by.
        correlation_id: the resync request that it answers, or None.
        rendered_at: seconds since 1970, the AMQP timestamp.
    """

    position: int
    client_id: UUID
    message_id: UUID
    body: bytes
    first_serial: int
    last_serial: int
    messages: int
    correlation_id: UUID | None
    rendered_at: int
