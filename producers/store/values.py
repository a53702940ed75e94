"""The values that a store returns."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class FleetClient(NamedTuple):
    """A client of the store; its `last_serial` is 0 before the first message.

    Attributes:
        life: number of the client's life. It starts at 0, for a cloned machine at 1000 times the
            client's number, and grows by 1 each time the store is lost or rolled back.
        highest_serial: highest value of the counter in all lives of this machine.
    """

    client_id: UUID
    name: str
    version: str
    last_serial: int
    life: int = 0
    highest_serial: int = 0


class StoredState(NamedTuple):
    """The last state of a topic, with the serial and the digest under which it was sent.

    Both are None for a recorded state that waits for the client's next report.
    """

    client_id: UUID
    topic_type: int
    topic_id: str
    user_sid: str
    serial: int | None
    digest: bytes | None


class SentMessage(NamedTuple):
    """A numbered message of any topic, also if its report was lost or damaged afterwards."""

    client_id: UUID
    serial: int
    digest: bytes
    life: int = 0


class OutboxRange(NamedTuple):
    """Serials of a report without a confirm; `held` tells whether a fault holds it back."""

    client_id: UUID
    first_serial: int
    last_serial: int
    message_id: UUID
    held: bool


class InjectedFault(NamedTuple):
    """An injected fault; kinds as in `producers.faults` and `producers.hostile`."""

    fault: str
    client_id: UUID
    first_serial: int
    last_serial: int
    message_id: UUID
    injected_at: datetime
    life: int = 0


class Answer(NamedTuple):
    """An answered resync request, and the block of serials of the answer."""

    request_id: UUID
    client_id: UUID
    first_serial: int
    last_serial: int
    answered_at: datetime


class StoreTotals(NamedTuple):
    """Counts over the whole time of a store.

    Attributes:
        clients: clients in the store.
        reports: rendered reports, lost ones included.
        messages: numbered messages of any topic.
        heartbeats: numbered heartbeats.
        answered: answered resync requests.
        outbox: reports that wait for the broker's confirm.
    """

    clients: int
    reports: int
    messages: int
    heartbeats: int
    answered: int
    outbox: int


class OutboxReport(NamedTuple):
    """A report in the outbox, with all values to publish it identically each time.

    Attributes:
        position: its place in the outbox; also identifies it in the broker's confirm.
        correlation_id: id of the resync request that it answers, or None.
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
