"""Which serials of which clients lie in a letter: what `verify` and `trace` ask."""

from typing import NamedTuple
from uuid import UUID

from runtime.broker import Delivery
from runtime.broker.dead_letters import Letter
from schemas.errors import Refused
from schemas.report import Report
from schemas.report_reader import parse_report
from schemas.smx import parse_batch
from schemas.topology import INCOMING


class Content(NamedTuple):
    """A run of serials of one client."""

    client_id: UUID
    first_serial: int
    last_serial: int


def contents(letter: Letter, delivery: Delivery) -> list[Content]:
    """What a letter holds, as far as anybody can tell.

    A report's headers say it, also where the body cannot be read any more. A batch may hold many
    clients, so its body is asked first.
    """
    headers = _from_headers(letter)
    if letter.queue in INCOMING.values():
        return _from_batch(delivery.body) or headers
    return headers or _from_report(delivery.body)


def _from_headers(letter: Letter) -> list[Content]:
    client, first, last = letter.client_id, letter.first_serial, letter.last_serial
    if client is None or first is None or last is None or first > last:
        return []
    return [Content(client, first, last)]


def _from_report(body: bytes) -> list[Content]:
    try:
        return _singles(parse_report(body))
    except Refused:
        return []


def _from_batch(body: bytes) -> list[Content]:
    try:
        batch = parse_batch(body, any_format=True)
        return [single for smx in batch.smx for single in _singles(smx.report)]
    except Refused:
        return []


def _singles(report: Report) -> list[Content]:
    return [Content(report.client_id, serial, serial) for serial in report.serials]
