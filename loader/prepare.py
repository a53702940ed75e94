"""Renders SMX as rows of the table `stage`: all computing that needs no transaction."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import LiteralString, NamedTuple
from uuid import uuid4

from schemas.digest import ABSENT, FIELD, digest_of
from schemas.report import UNNUMBERED_TOPICS, Report, StateMessage
from schemas.smx import Envelope, Smx
from schemas.smx_text import SmxText, smx_text
from schemas.topology import is_reply_queue, reply_queue

#: The separators are those of the text that a digest is made of (`schemas.digest`), so that most of
#: this text goes into a row unchanged.
COPY: LiteralString = r"COPY stage FROM STDIN (DELIMITER E'\x1f', NULL E'\x1e')"
#: COPY needs escapes for backslashes and line ends, which few values have.
_SPECIAL = re.compile(r"[\\\n\r]")
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})
_UNNUMBERED = frozenset(map(str, UNNUMBERED_TOPICS))


class Staged(NamedTuple):
    """A chunk, ready to be loaded.

    Attributes:
        lines: the rows of the table `stage`.
        topics: topic type -> number of state messages, copies included.
    """

    lines: bytes
    topics: dict[int, int]


def stage_lines(chunk: Sequence[SmxText]) -> bytes:
    """Render a chunk as `stage` does, without its counts."""
    return stage(chunk).lines


def stage(chunk: Sequence[SmxText]) -> Staged:
    """Render a chunk as input of `COPY`, in the column order of the table `stage`.

    Repeated messages are one row with their number in `copies`. Of different messages with the same
    serial, all but the first have `rival` set. Lives of a client are told apart by reply queue; for
    each, the report with the highest serial sets name, version and reply queue in its last row.
    """
    rows: list[_Row] = []
    clients: dict[str, _Client] = {}
    for smx in chunk:
        client = clients.get(smx.client_id)
        if client is None:
            client = clients[smx.client_id] = _Client()
        new = _new_rows(smx, client)
        # Without new rows, the report is a repetition.
        if new:
            _set_header(smx, new[-1], client)
            rows += new
    topics: dict[str, int] = {}
    for r in rows:
        topics[r.topic_type] = topics.get(r.topic_type, 0) + r.copies
    return Staged(
        "".join([f"{r.text}{r.header}{r.copies}{FIELD}{r.rival}\n" for r in rows]).encode(),
        {int(topic_type): messages for topic_type, messages in topics.items()},
    )


def probe_lines() -> bytes:
    """Render a made-up message of an unknown client, with a value in every field of a message."""
    now = datetime.now(UTC)
    x = "probe"
    one = StateMessage(1, None, 500, x, 0, x, x, 0, 0, now, (x,), x, x)
    envelope = Envelope(uuid4(), now, forwarded_at=now, reply_to=reply_queue(uuid4()).name)
    report = Report(uuid4(), x, x, now, (one,))
    return stage_lines([smx_text(uuid4(), Smx(envelope, report))])


def _new_rows(smx: SmxText, client: "_Client") -> list["_Row"]:
    """Return new rows of an SMX; count its other messages as copies of known rows."""
    new = []
    shared = _shared_values(smx)
    for text in smx.texts:
        key = digest_of(text)
        known = client.rows.get(key)
        if known is not None:
            known.copies += 1
            continue
        number, topic_type, rest = text.split(FIELD, 2)
        serial, serial_text = (ABSENT, number) if topic_type in _UNNUMBERED else (number, ABSENT)
        rival = serial != ABSENT and client.serials.setdefault(serial, key) != key
        row = client.rows[key] = _Row(
            serial,
            topic_type,
            f"{serial}{FIELD}{topic_type}{FIELD}{_escaped(rest)}{FIELD}{_escaped(serial_text)}"
            f"{FIELD}\\\\x{key.hex()}{FIELD}{shared}",
            rival=rival,
        )
        new.append(row)
    return new


def _set_header(smx: SmxText, row: "_Row", client: "_Client") -> None:
    """Write name, version and reply queue into the last row of a report.

    Does nothing if another report with the same reply queue has a higher serial.
    """
    queue = smx.reply_to
    if queue is None or not is_reply_queue(queue):
        queue = ABSENT
    before = client.header_rows.get(queue)
    if before is not None:
        if before.number > row.number:
            return
        before.header = _NO_HEADER
    row.header = _fields(_escaped(smx.client_name), _escaped(smx.client_version), queue)
    client.header_rows[queue] = row


class _Row:
    """A row of the table `stage` that is not rendered completely yet.

    Attributes:
        header: name, version and reply queue of the client; absent in all rows but one for each
            reply queue.
        copies: how often the message occurs in the chunk.
        rival: "t" if an earlier, different message of the chunk has its serial, else "f".
    """

    __slots__ = ("copies", "header", "rival", "serial", "text", "topic_type")

    def __init__(self, serial: str, topic_type: str, text: str, *, rival: bool) -> None:
        self.serial = serial
        self.topic_type = topic_type
        self.text = text
        self.header = _NO_HEADER
        self.copies = 1
        self.rival = "t" if rival else "f"

    @property
    def number(self) -> int:
        """The serial; 0 if the message has none."""
        return 0 if self.serial == ABSENT else int(self.serial)


class _Client:
    """What a chunk has of one client.

    Attributes:
        rows: digest -> row.
        serials: serial -> digest of the first message with it.
        header_rows: reply queue -> the row that has name, version and reply queue.
    """

    __slots__ = ("header_rows", "rows", "serials")

    def __init__(self) -> None:
        self.rows: dict[bytes, _Row] = {}
        self.serials: dict[str, bytes] = {}
        self.header_rows: dict[str, _Row] = {}


def _shared_values(smx: SmxText) -> str:
    """Render the values that all rows of one SMX share, once for all of them."""
    request_id, first, last = smx.claim or (ABSENT, ABSENT, ABSENT)
    return _fields(
        smx.client_id,
        smx.date,
        smx.forwarded_at or ABSENT,
        smx.received_at,
        smx.smx_id,
        smx.batch_id,
        request_id,
        first,
        last,
    )


def _fields(*values: str) -> str:
    return FIELD.join((*values, ""))


_NO_HEADER = _fields(ABSENT, ABSENT, ABSENT)


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES) if _SPECIAL.search(value) else value
