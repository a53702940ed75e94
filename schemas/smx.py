"""SMX: a report as the relay publishes it, and the batches that hold them.

    <Batch ID Relay Format>
      <SMX ID ReceivedAt ForwardedAt MessageID ReplyTo><Report>…</Report></SMX>…
    </Batch>

One UTF-8 document for each AMQP message, so that a person can read it in the RabbitMQ UI.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID
from xml.sax.saxutils import quoteattr

from lxml import etree

from schemas import xml
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.report import Report
from schemas.report_reader import read_report
from schemas.report_writer import report_xml

#: Bytes of one SMX. UTF-16 of mostly East Asian text grows by half in UTF-8.
MAX_SMX_BYTES = 12 * 1024 * 1024
#: Bytes of a batch that are read. The relay closes a batch before it exceeds its configured size;
#: only a batch of a single SMX may exceed that.
MAX_BATCH_BYTES = 16 * 1024 * 1024

#: Of batches. A release raises it when an older loader would refuse its SMX or reports, or read
#: them otherwise. 1 is not written; since 2 a StateMessage may hold unknown elements, and state
#: ids reach 2^32-1.
FORMAT = 2
_FORMAT = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_PLAIN = re.compile(r"[\w.-]*", re.ASCII)


class Envelope(NamedTuple):
    """What the relay knows of a report besides its content.

    Attributes:
        smx_id: made by the relay.
        received_at: when the relay took it from its queue; aware, UTC.
        forwarded_at: the sender's AMQP timestamp, None when not sent.
        message_id: the sender's AMQP message id, None when not sent.
        reply_to: the queue that takes resync requests for the client, None when not sent.
    """

    smx_id: UUID
    received_at: datetime
    forwarded_at: datetime | None = None
    message_id: str | None = None
    reply_to: str | None = None


class Smx(NamedTuple):
    """One report in its envelope."""

    envelope: Envelope
    report: Report


class Batch(NamedTuple):
    """SMX that travel together."""

    batch_id: UUID
    relay: str
    smx: tuple[Smx, ...]


def render_smx(envelope: Envelope, report: bytes | Report) -> bytes:
    """One `SMX` element, UTF-8.

    Args:
        report: the element as its sender wrote it (`xml.root_element`), which keeps content that
            the reader does not know; or a report value.

    Raises:
        Refused: `too_large`, over 12 MiB.
    """
    inner = report if isinstance(report, bytes) else report_xml(report).encode()
    head = f'<SMX ID="{envelope.smx_id}" ReceivedAt="{envelope.received_at.isoformat()}"'
    if envelope.forwarded_at is not None:
        head += f' ForwardedAt="{envelope.forwarded_at.isoformat()}"'
    if envelope.message_id is not None:
        head += f" MessageID={_quoted(envelope.message_id)}"
    if envelope.reply_to is not None:
        head += f" ReplyTo={_quoted(envelope.reply_to)}"
    smx = b"%b%b</SMX>" % (f"{head}>".encode(), inner)
    if len(smx) > MAX_SMX_BYTES:
        raise Refused(Reason.TOO_LARGE, f"{len(smx)} bytes as SMX; at most {MAX_SMX_BYTES}")
    return smx


def render_batch(batch_id: UUID, relay: str, smx: Iterable[bytes]) -> bytes:
    """One batch of rendered SMX, UTF-8.

    Args:
        relay: the name of the process that made it.
    """
    head = f'<Batch ID="{batch_id}" Relay={quoteattr(relay)} Format="{FORMAT}">'.encode()
    return b"".join((head, *smx, b"</Batch>"))


def parse_batch(body: bytes, *, any_format: bool = False) -> Batch:
    """Read a batch.

    Args:
        any_format: try to read a newer format too: to show the batch, not to load it.

    Raises:
        Refused: when it, or any report in it, breaks the contract.
    """
    root = xml.parse(body, max_bytes=MAX_BATCH_BYTES)
    if root.tag != "Batch":
        raise Refused(Reason.BAD_STRUCTURE, f"the root element is {str(root.tag)[:80]}, not Batch")
    if not any_format:
        _require_known_format(root)
    smx = tuple(map(_read_smx, root))
    if not smx:
        raise Refused(Reason.BAD_STRUCTURE, "the batch is empty")
    return Batch(_uuid(root), root.get("Relay", ""), smx)


def _quoted(value: str) -> str:
    # quoteattr is five times as slow, and ids and queue names hardly ever need it.
    return f'"{value}"' if _PLAIN.fullmatch(value) else quoteattr(value)


def _require_known_format(root: etree._Element) -> None:
    """Refuse a newer format before the batch is read: its content may have another meaning."""
    text = root.get("Format", "1")
    if _FORMAT.fullmatch(text) is None:
        raise Refused(Reason.BAD_STRUCTURE, f"Format {text[:60]!r} is no number")
    if int(text) > FORMAT:
        raise Refused(
            Reason.NEWER_FORMAT,
            f"the batch has format {text}, and this loader reads none above {FORMAT}: upgrade all "
            "loaders, then replay it",
        )


def _read_smx(element: etree._Element) -> Smx:
    if element.tag != "SMX" or len(element) != 1:
        raise Refused(Reason.BAD_STRUCTURE, "a batch holds SMX, and each SMX one report")
    received_at = _moment(element, "ReceivedAt")
    if received_at is None:
        raise Refused(Reason.BAD_STRUCTURE, "an SMX without ReceivedAt")
    envelope = Envelope(
        smx_id=_uuid(element),
        received_at=received_at,
        forwarded_at=_moment(element, "ForwardedAt"),
        message_id=element.get("MessageID"),
        reply_to=element.get("ReplyTo"),
    )
    return Smx(envelope, read_report(element[0]))


def _uuid(element: etree._Element) -> UUID:
    text = element.get("ID", "")
    try:
        return UUID(text)
    except ValueError:
        raise Refused(Reason.BAD_STRUCTURE, f"ID {text[:60]!r} is no UUID") from None


def _moment(element: etree._Element, attribute: str) -> datetime | None:
    text = element.get(attribute)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Refused(Reason.BAD_DATE, f"{attribute} {text[:60]!r} is no ISO 8601 moment with zone")
