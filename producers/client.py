"""The client's side of the protocol, as pure functions: number messages and render reports.

A client numbers its messages, cuts them into reports and renders these. The store saves serials and
bytes in one transaction; publishing may start only after its commit. A client sends reports in a
forward cycle, as a heartbeat (a forward with one more message) and as the answer to a resync
request.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from schemas.digest import digest
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.report import (
    HEARTBEAT_TOPIC,
    RESYNC_TOPIC,
    STATELESS_TOPICS,
    Claim,
    Report,
    StateMessage,
)
from schemas.report_writer import render_report
from schemas.resync import ResyncRequest
from schemas.serials import LAST_SERIAL

#: Messages in one report; a longer report is cut.
MAX_MESSAGES = 1000
#: Bytes of one report; a longer report is cut, unless it has a single message.
MAX_BYTES = 1024 * 1024
#: Upper limit of `highest_serial` in a resync request. No counter reaches it by counting, and the
#: serials above it are enough for every message that the client will ever send.
MAX_HIGHEST_SERIAL = LAST_SERIAL - 2**32

NORMAL_PRIORITY = 5
#: Priority by topic type and state id of the catalogue: 0 and 1 for urgent messages, 10 for those
#: that can wait. All others are normal.
PRIORITIES = {
    (402, 6): 0,  # general failure
    (402, 11): 1,  # failed to install update
    (301, 6): 1,  # failed to install update(s)
    (800, 313): 1,  # client.msi installation failed
    (401, 7): 10,  # compliance not configured
    (302, 1): 10,  # evaluation activated
}


class Client(NamedTuple):
    """A synthetic client as its store knows it.

    Attributes:
        number: place in the fleet, from 0; the key inside the store.
        last_serial: the last serial used, 0 before the first.
        life: number of the client's life. A new life begins when the store is lost or rolled back;
            serials are then used again.
    """

    number: int
    client_id: UUID
    name: str
    version: str
    last_serial: int
    life: int = 0


class Rendered(NamedTuple):
    """A report ready to be published, and what the store saves of it.

    Attributes:
        body: the XML, encoded.
        messages: numbered, in document order, serials ascending.
        digests: digests of the messages, in the same order.
        request_id: id of the resync request that the report answers, or None.
    """

    body: bytes
    messages: tuple[StateMessage, ...]
    digests: tuple[bytes, ...]
    request_id: UUID | None = None

    @property
    def first_serial(self) -> int:
        """The serial of the first message."""
        return self.messages[0].serial or 0

    @property
    def last_serial(self) -> int:
        """The serial of the last message."""
        return self.messages[-1].serial or 0


def forward(
    client: Client,
    unsent: Iterable[StateMessage],
    now: datetime,
    *,
    max_messages: int = MAX_MESSAGES,
    max_bytes: int = MAX_BYTES,
    step: int = 1,
) -> tuple[Rendered, ...]:
    """Number unsent messages and render them: one report for each priority, more where it is cut.

    Args:
        client: the sender; numbering continues from its `last_serial`.
        unsent: messages without serial, in the order in which they are numbered within a priority.
        now: by the client's clock; becomes the Date of the reports.
        max_messages, max_bytes: limits of one report; longer reports are cut.
        step: difference between two serials; 1 except for hostile clients.

    Returns:
        The reports in the order of their serials; empty when nothing is unsent.
    """
    by_priority: dict[int, list[StateMessage]] = {}
    for message in unsent:
        priority = PRIORITIES.get((message.topic_type, message.state_id), NORMAL_PRIORITY)
        by_priority.setdefault(priority, []).append(message)
    reports: list[Rendered] = []
    serial = client.last_serial + step
    for priority, messages in by_priority.items():
        numbered = _numbered(messages, serial, step)
        serial += step * len(numbered)
        whole = Report(client.client_id, client.name, client.version, now, numbered, priority)
        reports += _cut(whole, max_messages, max_bytes)
    return tuple(reports)


def heartbeat(now: datetime) -> StateMessage:
    """Make a heartbeat. Its serial shows the server whether the message before it was lost."""
    return StateMessage(None, None, HEARTBEAT_TOPIC, "heartbeat", None, "", "", 1, 0, now)


def answer(
    client: Client,
    request: ResyncRequest,
    states: Iterable[StateMessage],
    now: datetime,
    *,
    max_messages: int = MAX_MESSAGES,
) -> tuple[Rendered, ...]:
    """Render the whole current state under fresh serials, with a claim in every report.

    Args:
        client: numbering continues above its `last_serial` and the request's `highest_serial`.
        request: a request that this client has not answered yet.
        states: the last state of every topic, sent before or not, with their own message times.
        now: by the client's clock.
        max_messages: limit of one report; longer reports are cut.

    Returns:
        One or more reports; their serials form one contiguous block.

    Raises:
        Refused: `bad_serial`, when `highest_serial` is above `MAX_HIGHEST_SERIAL`.
    """
    if request.highest_serial > MAX_HIGHEST_SERIAL:
        raise Refused(
            Reason.BAD_SERIAL,
            f"HighestSerial {request.highest_serial} leaves no serials to count on with",
        )
    # Comes first and always, so that a client without any state has an answer too.
    begin = StateMessage(None, None, RESYNC_TOPIC, str(request.request_id), None, "", "", 1, 0, now)
    first = max(client.last_serial, request.highest_serial) + 1
    numbered = _numbered([begin, *states], first)
    claim = Claim(request.request_id, first, first + len(numbered) - 1)
    whole = Report(
        client.client_id, client.name, client.version, now, numbered, NORMAL_PRIORITY, claim
    )
    return tuple(_cut(whole, max_messages, MAX_BYTES))


def is_state(message: StateMessage) -> bool:
    """Whether the client keeps a message as a state: not heartbeats and the start of an answer."""
    return message.topic_type not in STATELESS_TOPICS


def _numbered(
    messages: Sequence[StateMessage], first: int, step: int = 1
) -> tuple[StateMessage, ...]:
    # Built directly, because `_replace` takes three times as long.
    return tuple(StateMessage(first + step * n, *m[1:]) for n, m in enumerate(messages))


def _cut(report: Report, max_messages: int, max_bytes: int) -> list[Rendered]:
    """Render a report in pieces; a piece with too many bytes is halved until it fits."""
    reports: list[Rendered] = []
    whole = len(report.messages) <= max_messages
    for at in range(0, len(report.messages), max_messages):
        piece = (
            report if whole else report._replace(messages=report.messages[at : at + max_messages])
        )
        body = render_report(piece)
        if len(body) > max_bytes and len(piece.messages) > 1:
            reports += _cut(piece, (len(piece.messages) + 1) // 2, max_bytes)
        else:
            reports.append(
                Rendered(
                    body,
                    piece.messages,
                    tuple(map(digest, piece.messages)),
                    None if piece.claim is None else piece.claim.request_id,
                )
            )
    return reports
