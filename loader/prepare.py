"""SMX into rows of the stage: everything that can be computed before a transaction opens."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from schemas.digest import digest
from schemas.report import StateMessage
from schemas.smx import Smx
from schemas.topology import is_reply_queue

_NULL = r"\N"
#: What separates fields and rows, and the escape itself. Few values hold any of them.
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


class Item(NamedTuple):
    """One state message with where it came from: what a chunk is made of."""

    batch_id: UUID
    smx: Smx
    message: StateMessage


def items_of(batch_id: UUID, smx: Sequence[Smx]) -> list[Item]:
    """The messages of some SMX of a batch."""
    return [Item(batch_id, one, message) for one in smx for message in one.report.messages]


def stage_lines(items: Sequence[Item]) -> bytes:
    """Render a chunk in PostgreSQL's COPY text format, in the column order of the stage.

    The same message twice is one row with `copies` 2. Different messages under one serial are
    rows of which all but the first are rivals. The report of a client with the latest
    `received_at` lends one row its name, version and reply queue.
    """
    # Keyed by the integer of a GUID: hashing the UUID itself costs ten times as much.
    rows: dict[tuple[int, int | None, bytes], tuple[Item, bool]] = {}
    copies: dict[tuple[int, int | None, bytes], int] = {}
    first: dict[tuple[int, int], bytes] = {}
    latest: dict[int, Smx] = {}
    for item in items:
        smx, message = item.smx, item.message
        client = smx.report.client_id.int
        speaker = latest.setdefault(client, smx)
        if smx.envelope.received_at > speaker.envelope.received_at:
            latest[client] = smx
        key = (client, message.serial, digest(message))
        if key in rows:
            copies[key] += 1
            continue
        rival = message.serial is not None and (
            first.setdefault((client, message.serial), key[2]) != key[2]
        )
        rows[key], copies[key] = (item, rival), 1
    # By identity: nothing keeps a foreign sender from giving two SMX one id.
    frames: dict[int, _Frame] = {}
    lines = []
    for key, ((batch_id, smx, message), rival) in rows.items():
        frame = frames.get(id(smx))
        if frame is None:
            frame = frames[id(smx)] = _frame(batch_id, smx)
        # The first row of each client has its speaker's words.
        said = _said(latest.pop(key[0])) if key[0] in latest else _NOTHING_SAID
        tail = f"{copies[key]}\t{'t' if rival else 'f'}\n"
        lines.append(f"{frame.head}{_message(message, key[2])}{frame.tail}{said}{tail}")
    return "".join(lines).encode()


class _Frame(NamedTuple):
    """What all rows of one SMX have in common: rendered once, not for each message."""

    head: str
    tail: str


def _frame(batch_id: UUID, smx: Smx) -> _Frame:
    report, envelope = smx.report, smx.envelope
    claim = report.claim
    fields = (
        report.date.isoformat(),
        _NULL if envelope.forwarded_at is None else envelope.forwarded_at.isoformat(),
        envelope.received_at.isoformat(),
        str(envelope.smx_id),
        str(batch_id),
        _NULL if claim is None else str(claim.request_id),
        _NULL if claim is None else str(claim.first_serial),
        _NULL if claim is None else str(claim.last_serial),
    )
    return _Frame(f"{report.client_id}\t", "\t".join(fields) + "\t")


def _message(m: StateMessage, digested: bytes) -> str:
    # Plain concatenation of fields: measured as fast as psycopg's own row writer, which would
    # need a binary adapter for each type.
    return (
        f"{_NULL if m.serial is None else m.serial}\t{_optional(m.serial_text)}\t"
        f"\\\\x{digested.hex()}\t{m.topic_type}\t{_text(m.topic_id)}\t"
        f"{_NULL if m.id_type is None else m.id_type}\t"
        f"{_text(m.user_name)}\t{_text(m.user_sid)}\t{m.state_id}\t{m.criticality}\t"
        f"{m.message_time.isoformat()}\t{_array(m.params)}\t"
        f"{_optional(m.details)}\t{_optional(m.details_type)}\t"
    )


_NOTHING_SAID = f"{_NULL}\t{_NULL}\t{_NULL}\t"


def _said(speaker: Smx) -> str:
    """Name, version and reply queue, from the report received last."""
    report, reply_to = speaker.report, speaker.envelope.reply_to
    queue = reply_to if reply_to is not None and is_reply_queue(reply_to) else _NULL
    return f"{_text(report.client_name)}\t{_text(report.client_version)}\t{queue}\t"


def _text(value: str) -> str:
    return value.translate(_ESCAPES) if _SPECIAL.search(value) else value


def _optional(value: str | None) -> str:
    return _NULL if value is None else _text(value)


def _array(values: tuple[str, ...]) -> str:
    if not values:
        return "{}"
    quoted = ",".join('"' + v.replace("\\", r"\\").replace('"', r"\"") + '"' for v in values)
    return _text("{" + quoted + "}")
