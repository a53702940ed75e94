"""The reports of a job: what synthetic clients would send, with a fixed number of messages each.

Shape `other` has the same content as other programs write it. Each client uses one of three forms:

- UTF-16, the attributes in the opposite order,
- UTF-16, indented, and a comment in every state message,
- UTF-8, both of these.

Shape `foreign` has an unknown element in every state message. Relay and loader skip it, and need
the full reader for such reports (`schemas/canonical.py`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import md5
from itertools import count, islice
from typing import Self
from uuid import UUID, uuid4

from lxml import etree

from lab.bench.job import Job, Shape
from lab.bench.tables import Show
from producers.scenarios import recorded
from runtime.broker import (
    ConfirmingPublisher,
    Message,
    PublishOutcome,
    Session,
    declare,
)
from runtime.broker.messages import report_properties
from schemas.errors import StatesysError
from schemas.report import Report, StateMessage
from schemas.report_writer import render_report
from schemas.topology import REPORTS, queues

_SEED = 1
_VERSION = "5.00.9128.1000"
#: The priority of a normal report.
_PRIORITY = 5
#: Encoding, attributes in the opposite order, indented with comments.
_STYLES = (("UTF-16", True, False), ("UTF-16", False, True), ("UTF-8", True, True))


def reports(job: Job) -> Iterator[Report]:
    """Yield all reports of a job: the first of each client, the second of each, and so on.

    A client's serials have no gap, and continue those that it has sent before.
    """
    now = datetime.now(UTC)
    streams = [
        _messages(client, job.existing.highest_serial(client), job.messages, now)
        for client in range(job.clients)
    ]
    ids = [_id(client) for client in range(job.clients)]
    for number in range(job.reports):
        client = number % job.clients
        yield Report(
            client_id=ids[client],
            client_name=f"PC{client:06}",
            client_version=_VERSION,
            date=now,
            messages=tuple(islice(streams[client], job.messages)),
            priority=_PRIORITY,
        )


def written(report: Report, shape: Shape) -> bytes:
    """Render a report of a job as its client sends it."""
    body = render_report(report)
    if shape is Shape.CANONICAL:
        return body
    root = etree.fromstring(body, etree.XMLParser(strip_cdata=False))
    encoding, swapped, indented = _STYLES[report.client_id.int % len(_STYLES)]
    if shape is Shape.FOREIGN:
        _extend(root)
    if swapped:
        _swap(root)
    if indented:
        _indent(root)
    text = etree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{text}'.encode(encoding)


def _extend(root: etree._Element) -> None:
    for message in root.iter("StateMessage"):
        etree.SubElement(message, "Vendor").text = "of no interest"


def _swap(root: etree._Element) -> None:
    for element in root.iter():
        attributes = element.items()[::-1]
        element.attrib.clear()
        element.attrib.update(attributes)


def _indent(root: etree._Element) -> None:
    for message in root.iter("StateMessage"):
        message.insert(0, etree.Comment(" as it was seen "))
    etree.indent(root)


def _id(client: int) -> UUID:
    """The same id that `tables.sql` computes from the number."""
    text = f"statesys bench {client}".encode()
    return UUID(bytes=md5(text, usedforsecurity=False).digest())


def _messages(client: int, highest: int, mean: int, now: datetime) -> Iterator[StateMessage]:
    """Yield a client's messages without end, numbered from the serial after the highest."""
    serials = count(highest + 1)
    for cycle in count():
        for message in recorded(_SEED, client, cycle, mean, now):
            yield message._replace(serial=next(serials))


#: Seconds of one wait for the broker.
_PATIENCE = 0.1
#: Reports between two lines of progress.
_TELL_EVERY = 2000
_NAME = "statesys bench"


class Feed:
    """A publisher of reports. A context manager; at its end the broker has confirmed all.

    Args:
        url: of the broker; the queues are declared there.
        show: called with the progress.

    Raises:
        StatesysError: from every method, when the broker does not take a report.
    """

    def __init__(self, url: str, show: Show) -> None:
        declare(url, queues, name=_NAME)
        self._publisher = ConfirmingPublisher(Session(url, name=_NAME))
        self._show = show
        self._sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        try:
            while error is None and self._publisher:
                self.poll(_PATIENCE)
        finally:
            self._publisher.session.close()

    def send(self, report: Report, body: bytes) -> None:
        """Publish a report, rendered as `body`; wait while too many are unconfirmed."""
        numbers = report.serials
        self._publisher.publish(
            Message(
                exchange=REPORTS,
                routing_key=REPORTS,
                body=body,
                token=None,
                properties=report_properties(
                    report.client_id,
                    first_serial=numbers[0],
                    last_serial=numbers[-1],
                    messages=len(report.messages),
                    message_id=uuid4(),
                    timestamp=int(report.date.timestamp()),
                ),
            )
        )
        self._sent += 1
        if self._sent % _TELL_EVERY == 0:
            self._show(f"publishing: {self._sent:,} reports")
        while self._publisher.full:
            self.poll(_PATIENCE)

    def poll(self, timeout: float) -> None:
        """Handle what the broker has sent.

        Args:
            timeout: seconds to wait for it at most.
        """
        for event in self._publisher.poll(timeout):
            if isinstance(event, PublishOutcome) and event.problem is not None:
                raise StatesysError(f"the broker did not take a report: {event.problem}")
