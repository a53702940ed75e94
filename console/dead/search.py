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
from schemas.topology import INCOMING

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
    found = []
    for letter, delivery in letters:
        own = [one for one in contents(letter, delivery) if one.client_id == client_id]
        if own:
            serials = SerialRanges((one.first_serial, one.last_serial) for one in own)
            found.append(ClientLetter(letter, serials, _topics(letter, delivery, client_id)))
    return found


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


def _topics(
    letter: Letter, delivery: Delivery, client_id: UUID
) -> frozenset[tuple[int, str]] | None:
    try:
        reports = list(_reports(letter, delivery.body))
    except Refused:
        return None
    return frozenset(
        (message.topic_type, message.topic_id)
        for report in reports
        if report.client_id == client_id
        for message in report.messages
    )


def _reports(letter: Letter, body: bytes) -> Iterable[Report]:
    if letter.queue in INCOMING.values():
        return [smx.report for smx in parse_batch(body, any_format=True).smx]
    return [parse_report(body)]
