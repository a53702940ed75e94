"""The report: what a client says, as values.

Tuples, not validated models: reading refuses every report from outside that breaks the contract,
and at tens of thousands of state messages a second a named tuple costs a tenth of a validated
object.
"""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

#: Characters of a client name, a topic id, a user name or a SID.
MAX_NAME_LENGTH = 512
#: Bytes of a report as it arrives; RabbitMQ's own limit is 128 MiB, a real report is a few KiB.
MAX_REPORT_BYTES = 8 * 1024 * 1024
#: `UserParameters` carries insertion strings for a status text of at most five.
MAX_PARAMS = 5
#: Levels of elements; a real report has five, unknown elements may bring more.
MAX_DEPTH = 100

#: Topic types that the code treats specially; the rest of the catalogue is only names.
RESYNC_TOPIC = 700
HEARTBEAT_TOPIC = 701
PULL_DISTRIBUTION_POINT_TOPIC = 902
#: Topic types whose SerialNumber is not the client's counter.
UNNUMBERED_TOPICS = frozenset({PULL_DISTRIBUTION_POINT_TOPIC})
#: Topic types that are numbered and kept in the history but are not part of the current state.
STATELESS_TOPICS = frozenset({RESYNC_TOPIC, HEARTBEAT_TOPIC})


class Lane(StrEnum):
    """Which of the three work queues a report takes."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class StateMessage(NamedTuple):
    """One client's condition on one topic at one time.

    Attributes:
        serial: the client's counter, 1..2^63-2; None when the message is not numbered by it.
        serial_text: SerialNumber as sent, where it is no counter (topic type 902); else None.
        topic_type, topic_id, id_type: what the message is about; `id_type` None when not sent.
        user_name, user_sid: the user of the topic; empty for a topic of the machine.
        state_id, criticality: the condition.
        message_time: when the state changed, by the client's clock; aware, UTC.
        params: 0 to 5 insertion strings, empty ones kept.
        details: StateDetails, None when not sent; may be megabytes.
        details_type: its `Type` attribute, None when not sent.
    """

    serial: int | None
    serial_text: str | None
    topic_type: int
    topic_id: str
    id_type: int | None
    user_name: str
    user_sid: str
    state_id: int
    criticality: int
    message_time: datetime
    params: tuple[str, ...] = ()
    details: str | None = None
    details_type: str | None = None

    @property
    def topic(self) -> tuple[int, str, str]:
        """The key of the current state within a client: (type, id, user SID)."""
        return (self.topic_type, self.topic_id, self.user_sid)


class Claim(NamedTuple):
    """The claim "my whole state is in serials first..last", made in an answer to a resync."""

    request_id: UUID
    first_serial: int
    last_serial: int


class Report(NamedTuple):
    """One XML document of a client.

    Attributes:
        client_id: the machine.
        client_name: its NetBIOS name; empty when not sent.
        client_version: version of the client software; empty when not sent.
        date: when the client rendered it, by its clock; aware, UTC.
        messages: one or more.
        priority: 0 urgent, 1 high, 5 normal, 10 low; None when not sent or not a number.
        claim: set in every report of a resync answer.
    """

    client_id: UUID
    client_name: str
    client_version: str
    date: datetime
    messages: tuple[StateMessage, ...]
    priority: int | None = None
    claim: Claim | None = None

    @property
    def lane(self) -> Lane:
        """Which queue the report takes."""
        return lane_of(self.priority, self.claim)

    @property
    def serials(self) -> list[int]:
        """The counted serials, in document order."""
        return [m.serial for m in self.messages if m.serial is not None]


def lane_of(priority: int | None, claim: tuple[object, ...] | None) -> Lane:
    """The lane of a priority; a resync answer takes low, so that it never overtakes reports."""
    if claim is not None:
        return Lane.LOW
    return _LANES.get(priority, Lane.NORMAL)


_LANES: dict[int | None, Lane] = {0: Lane.HIGH, 1: Lane.HIGH, 10: Lane.LOW}
