"""SMX into rows of the stage: everything that can be computed before a transaction opens."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from loader.chunk import Item
from schemas.digest import digest_of, digested
from schemas.report import StateMessage
from schemas.smx import Smx
from schemas.topology import is_reply_queue

_NULL = r"\N"
#: What separates fields and rows, the escape itself, and what brings an escape into an array.
#: Few values hold any of them.
_SPECIAL = re.compile(r'[\\\t\n\r"]')
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def stage_lines(chunk: Sequence[Item]) -> bytes:
    """Render a chunk in PostgreSQL's COPY text format, in the column order of the stage.

    The same message twice is one row with `copies` 2. Different messages under one serial are
    rows of which all but the first are rivals. The report of a client with the latest
    `received_at` lends one row its name, version and reply queue.
    """
    rows: list[_Row] = []
    clients: dict[int, _Client] = {}
    for item in chunk:
        smx = item.smx
        # By the integer of a GUID: hashing the UUID itself costs ten times as much.
        client = clients.setdefault(smx.report.client_id.int, _Client(smx))
        if smx.envelope.received_at > client.speaker.envelope.received_at:
            client.speaker = smx
        rows += _new_rows(item, client)
    for client in clients.values():
        # The first row of each client has its speaker's words.
        next(iter(client.rows.values())).said = _said(client.speaker)
    return "".join([f"{r.text}{r.said}{r.copies}\t{r.rival}\n" for r in rows]).encode()


def _new_rows(item: Item, client: "_Client") -> Iterator["_Row"]:
    """The rows of an item that are not in the chunk yet; copies of others are counted there."""
    head, tail = _frame(item)
    for message in item.messages:
        text = digested(message)
        key = digest_of(text)
        known = client.rows.get(key)
        if known is not None:
            known.copies += 1
            continue
        serial = message.serial
        rival = serial is not None and client.serials.setdefault(serial, key) != key
        # One search for all texts of the message: few hold what must be escaped.
        escape = _escaped if _SPECIAL.search(text) else str
        row = _Row(f"{head}{_message(message, key, escape)}{tail}", rival=rival)
        client.rows[key] = row
        yield row


class _Row:
    """A row of the stage on its way."""

    __slots__ = ("copies", "rival", "said", "text")

    def __init__(self, text: str, *, rival: bool) -> None:
        self.text = text
        self.said = _NOTHING_SAID
        self.copies = 1
        self.rival = "t" if rival else "f"


class _Client:
    """What a chunk holds of one client: rows by digest, digests by serial, and who speaks."""

    __slots__ = ("rows", "serials", "speaker")

    def __init__(self, speaker: Smx) -> None:
        self.rows: dict[bytes, _Row] = {}
        self.serials: dict[int, bytes] = {}
        self.speaker = speaker


class _Frame(NamedTuple):
    """What all rows of one SMX have in common: rendered once, not for each message."""

    head: str
    tail: str


def _frame(item: Item) -> _Frame:
    report, envelope = item.smx.report, item.smx.envelope
    claim = report.claim
    fields = (
        report.date.isoformat(),
        _NULL if envelope.forwarded_at is None else envelope.forwarded_at.isoformat(),
        envelope.received_at.isoformat(),
        str(envelope.smx_id),
        str(item.batch_id),
        _NULL if claim is None else str(claim.request_id),
        _NULL if claim is None else str(claim.first_serial),
        _NULL if claim is None else str(claim.last_serial),
    )
    return _Frame(f"{report.client_id}\t", "\t".join(fields) + "\t")


def _message(message: StateMessage, key: bytes, text: Callable[[str], str]) -> str:
    # Plain concatenation of fields: measured as fast as psycopg's own row writer, which would
    # need a binary adapter for each type.
    (
        serial,
        serial_text,
        topic_type,
        topic_id,
        id_type,
        user_name,
        user_sid,
        state_id,
        criticality,
        message_time,
        params,
        details,
        details_type,
    ) = message
    return (
        f"{_NULL if serial is None else serial}\t"
        f"{_NULL if serial_text is None else text(serial_text)}\t"
        f"\\\\x{key.hex()}\t{topic_type}\t{text(topic_id)}\t"
        f"{_NULL if id_type is None else id_type}\t"
        f"{text(user_name)}\t{text(user_sid)}\t{state_id}\t{criticality}\t"
        f"{message_time.isoformat()}\t{text(_array(params)) if params else '{}'}\t"
        f"{_NULL if details is None else text(details)}\t"
        f"{_NULL if details_type is None else text(details_type)}\t"
    )


_NOTHING_SAID = f"{_NULL}\t{_NULL}\t{_NULL}\t"


def _said(speaker: Smx) -> str:
    """Name, version and reply queue, from the report received last."""
    report, reply_to = speaker.report, speaker.envelope.reply_to
    queue = reply_to if reply_to is not None and is_reply_queue(reply_to) else _NULL
    return f"{_escaped(report.client_name)}\t{_escaped(report.client_version)}\t{queue}\t"


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES) if _SPECIAL.search(value) else value


def _array(values: tuple[str, ...]) -> str:
    quoted = ",".join(['"' + v.replace("\\", r"\\").replace('"', r"\"") + '"' for v in values])
    return "{" + quoted + "}"
