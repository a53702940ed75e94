"""Publishes reports in the way of the producers: persistent, mandatory, confirmed; no outbox."""

from typing import Self
from uuid import uuid4

from lab.bench.steps import Show
from runtime.broker import (
    ConfirmingPublisher,
    Message,
    PublishOutcome,
    Session,
    declare,
)
from runtime.broker.messages import report_properties
from schemas.errors import StatesysError
from schemas.report import Report
from schemas.topology import QUEUES, REPORTS

#: Seconds of one wait for the broker.
_PATIENCE = 0.1
#: Reports between two signs of life.
_TELL_EVERY = 2000
_NAME = "statesys bench"


class Feed:
    """A publisher of reports. A context manager; at its end all is confirmed.

    Args:
        url: of the broker; its queues are declared.
        show: hears how far it is.

    Raises:
        StatesysError: from every method, when the broker does not take a report.
    """

    def __init__(self, url: str, show: Show) -> None:
        declare(url, QUEUES, name=_NAME)
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
        """Publish a report, rendered as `body`; waits while too many are in the air."""
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
        """Look at what the broker says.

        Args:
            timeout: seconds to wait for it at most.
        """
        for event in self._publisher.poll(timeout):
            if isinstance(event, PublishOutcome) and event.problem is not None:
                raise StatesysError(f"the broker did not take a report: {event.problem}")
