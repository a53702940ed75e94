"""Finds the dead letters of one client."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar
from uuid import UUID

from console.dead.view import contents
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
    serials: dict[UUID, list[tuple[int, int]]] = {}
    for one in contents(letter, delivery):
        serials.setdefault(one.client_id, []).append((one.first_serial, one.last_serial))
    topics = _topics(letter, delivery) if serials else None
    return {
        client_id: ClientLetter(
            letter,
            SerialRanges(ranges),
            None if topics is None else frozenset(topics.get(client_id, ())),
        )
        for client_id, ranges in serials.items()
    }


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


def _topics(letter: Letter, delivery: Delivery) -> dict[UUID, set[tuple[int, str]]] | None:
    """Topic types and ids by client; None when the body cannot be read."""
    found: dict[UUID, set[tuple[int, str]]] = {}
    try:
        for report in _reports(letter, delivery.body):
            told = ((message.topic_type, message.topic_id) for message in report.messages)
            found.setdefault(report.client_id, set()).update(told)
    except Refused:
        return None
    return found


def _reports(letter: Letter, body: bytes) -> Iterable[Report]:
    if letter.queue is not None and is_incoming(letter.queue):
        return [smx.report for smx in parse_batch(body, any_format=True).smx]
    return [parse_report(body)]
