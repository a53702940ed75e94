"""Finds the dead letters of one client."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

from runtime.broker import Administration, Delivery
from runtime.broker.dead_letters import Letter
from runtime.settings import Settings
from schemas.errors import BrokerUnavailable, PermissionMissing, Refused, SettingsError
from schemas.report import Report
from schemas.report_reader import parse_report
from schemas.serials import SerialRanges
from schemas.smx import parse_batch
from schemas.topology import is_incoming

T = TypeVar("T")


class Content(NamedTuple):
    """A range of serials of one client."""

    client_id: UUID
    first_serial: int
    last_serial: int


class ClientLetter(NamedTuple):
    """A dead letter with messages of the client in question.

    Attributes:
        serials: of the client in it.
        topics: topic types and ids of the client's messages; None when the body cannot be read.
    """

    letter: Letter
    serials: SerialRanges
    topics: frozenset[tuple[int, str]] | None


def letters_of(letters: Iterable[tuple[Letter, Delivery]], client_id: UUID) -> list[ClientLetter]:
    """Those dead letters that hold serials of a client, in their order.

    Args:
        letters: as `Box.look` returns them.
    """
    by_client = (letter_by_client(letter, delivery) for letter, delivery in letters)
    return [found[client_id] for found in by_client if client_id in found]


def letter_by_client(letter: Letter, delivery: Delivery) -> dict[UUID, ClientLetter]:
    """What a dead letter holds of each client in it."""
    reports = _reports(letter, delivery.body)
    serials: defaultdict[UUID, list[tuple[int, int]]] = defaultdict(list)
    for client_id, first, last in _contents(letter, reports):
        serials[client_id].append((first, last))
    topics: defaultdict[UUID, set[tuple[int, str]]] = defaultdict(set)
    for report in reports or ():
        topics[report.client_id].update((one.topic_type, one.topic_id) for one in report.messages)
    return {
        client_id: ClientLetter(
            letter,
            SerialRanges(ranges),
            None if reports is None else frozenset(topics[client_id]),
        )
        for client_id, ranges in serials.items()
    }


def contents(letter: Letter, delivery: Delivery) -> list[Content]:
    """The clients and serials in a dead letter, as far as headers and body tell them."""
    return _contents(letter, _reports(letter, delivery.body))


def _contents(letter: Letter, reports: Sequence[Report] | None) -> list[Content]:
    """Of headers and body the better one.

    A report's headers come first, because its body may be unreadable. A batch may hold many
    clients, so its body comes first.
    """
    client, first, last = letter.client_id, letter.first_serial, letter.last_serial
    headers = []
    if client is not None and first is not None and last is not None and first <= last:
        headers = [Content(client, first, last)]
    body = [
        Content(report.client_id, serial, serial)
        for report in reports or ()
        for serial in report.serials
    ]
    return body or headers if _is_batch(letter) else headers or body


def _reports(letter: Letter, body: bytes) -> list[Report] | None:
    """The reports in a body; None when it cannot be read."""
    try:
        if _is_batch(letter):
            return [smx.report for smx in parse_batch(body, any_format=True).smx]
        return [parse_report(body)]
    except Refused:
        return None


def _is_batch(letter: Letter) -> bool:
    return letter.queue is not None and is_incoming(letter.queue)


def ask_broker(
    settings: Settings, question: Callable[[Administration], T], *, name: str
) -> T | None:
    """Ask the broker something that an answer can do without.

    Args:
        name: of the connection.

    Returns:
        The answer, None when the broker cannot be read.
    """
    try:
        with Administration(settings.required_amqp_url(), name=name) as admin:
            return question(admin)
    except (BrokerUnavailable, PermissionMissing, SettingsError):
        return None
