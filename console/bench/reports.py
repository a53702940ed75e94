"""The reports of a job: what synthetic clients would send, with a fixed number of messages each."""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import md5
from itertools import count, islice
from uuid import UUID

from console.bench.job import Job
from producers.scenarios import recorded
from schemas.report import Report, StateMessage

_SEED = 1
_VERSION = "5.00.9128.1000"
#: A normal report.
_PRIORITY = 5


def reports(job: Job) -> Iterator[Report]:
    """All reports of a job: the first of each client, the second of each, and so on.

    A client's serials follow each other without a gap, after those that it has sent before.
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


def _id(client: int) -> UUID:
    """The same that `fill.sql` makes of the number."""
    text = f"statesys bench {client}".encode()
    return UUID(bytes=md5(text, usedforsecurity=False).digest())


def _messages(client: int, highest: int, mean: int, now: datetime) -> Iterator[StateMessage]:
    """A client's messages without end, numbered from the one after its highest serial."""
    serials = count(highest + 1)
    for cycle in count():
        for message in recorded(_SEED, client, cycle, mean, now):
            yield message._replace(serial=next(serials))
