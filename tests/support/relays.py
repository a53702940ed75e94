"""Relays as processes of their own, with their input and output."""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from runtime.broker import Administration, Delivery, Message, Properties, persistent
from schemas.report import Lane
from schemas.smx import Smx, parse_batch
from schemas.topology import DEAD, INCOMING, QUEUES, REPORTS
from tests.support.documents import message, report
from tests.support.processes import Program, publish_all, ready, take_all


class RawProperties(Properties):
    """Properties as raw bytes, for forms that our libraries never write."""

    def __init__(self, *, headers: bytes | None = None, message_id: bytes | None = None) -> None:
        """Take the content of the header table, and a message id."""
        super().__init__()
        flags, self._raw = 0, b""
        if headers is not None:
            flags |= self.FLAG_HEADERS
            self._raw += struct.pack(">I", len(headers)) + headers
        if message_id is not None:
            flags |= self.FLAG_MESSAGE_ID
            self._raw += struct.pack(">B", len(message_id)) + message_id
        self._raw = struct.pack(">H", flags) + self._raw

    def encode(self) -> list[bytes]:
        """The raw bytes."""
        return [self._raw]


class World:
    """The queues around a relay."""

    def __init__(self, amqp_url: str) -> None:
        self.amqp_url = amqp_url
        with self.admin() as admin:
            admin.declare(QUEUES)

    def admin(self) -> Administration:
        """Open a connection for queue operations."""
        return Administration(self.amqp_url, name="test")

    def publish(self, reports: Iterable[tuple[bytes, Properties]]) -> None:
        """Publish reports as clients do: to the exchange, each confirmed."""
        publish_all(
            self.amqp_url,
            (Message(REPORTS, body, properties, None, REPORTS) for body, properties in reports),
        )

    def ready(self, queue: str) -> int:
        """The number of messages ready in a queue."""
        return ready(self.amqp_url, queue)

    def take_all(self, queue: str) -> list[Delivery]:
        """Take and acknowledge everything in a queue."""
        return take_all(self.amqp_url, queue)

    def smx(self, lane: Lane = Lane.NORMAL) -> list[Smx]:
        """Take all batches of a lane, and return their SMX."""
        return [s for d in self.take_all(INCOMING[lane]) for s in parse_batch(d.body).smx]

    def relayed(self) -> list[str | None]:
        """Take all batches, and return the message ids of their reports."""
        return [smx.envelope.message_id for lane in Lane for smx in self.smx(lane)]

    def dead(self) -> list[Delivery]:
        """Take all dead letters."""
        return self.take_all(DEAD)


class RelayProcess(Program):
    """`statesys relay run` as a process; killed at the end of the block if it still runs."""

    def __init__(self, world: World, directory: Path, *flags: str) -> None:
        super().__init__(
            directory / f"relay-{len(list(directory.iterdir()))}.log",
            *("relay", "run", *flags),
            home=directory,
            amqp_url=world.amqp_url,
        )

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its log lines of one event; every line of the log must be JSON."""
        assert all(line.startswith("{") for line in self.text.splitlines()), self.text
        return super().events(name)


def good(count: int, *, first: int = 1) -> list[tuple[bytes, Properties]]:
    """Good reports of one message each; the message ids are their serials."""
    return [
        (report(message(serial=str(n))).encode("utf-16"), persistent(message_id=str(n)))
        for n in range(first, first + count)
    ]


def ids(reports: Sequence[tuple[bytes, Properties]]) -> list[str]:
    """The message ids of reports."""
    return [str(properties.message_id) for _, properties in reports]
