"""SMX into rows of the stage: everything that can be computed before a transaction opens."""

import re
from collections.abc import Iterator, Sequence
from typing import LiteralString

from schemas.digest import ABSENT, FIELD, digest_of
from schemas.plain import Plain
from schemas.report import UNNUMBERED_TOPICS
from schemas.topology import is_reply_queue

#: How the rows go in. They are separated as the text of a digest is, so that this text is the
#: greater part of a row as it stands.
COPY: LiteralString = r"COPY stage FROM STDIN (DELIMITER E'\x1f', NULL E'\x1e')"
#: The escape itself, and what separates rows. Few values hold any of them.
_SPECIAL = re.compile(r"[\\\n\r]")
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})
_UNNUMBERED = frozenset(map(str, UNNUMBERED_TOPICS))


def stage_lines(chunk: Sequence[Plain]) -> bytes:
    """Render a chunk as `COPY` takes it, in the column order of the stage.

    The same message twice is one row with `copies` 2. Different messages under one serial are
    rows of which all but the first are rivals. The report of a client with the latest
    `received_at` lends one row its name, version and reply queue.
    """
    rows: list[_Row] = []
    clients: dict[str, _Client] = {}
    for smx in chunk:
        client = clients.get(smx.client_id)
        if client is None:
            client = clients[smx.client_id] = _Client(smx)
        # Texts of one zone order as moments do: "+" comes before ".".
        elif smx.received_at > client.speaker.received_at:
            client.speaker = smx
        rows += _new_rows(smx, client)
    for client in clients.values():
        # The first row of each client has its speaker's words.
        next(iter(client.rows.values())).said = _said(client.speaker)
    return "".join([f"{r.text}{r.said}{r.copies}{FIELD}{r.rival}\n" for r in rows]).encode()


def _new_rows(smx: Plain, client: "_Client") -> Iterator["_Row"]:
    """The rows of an SMX that are not in the chunk yet; copies of others are counted there."""
    tail = _tail(smx)
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
            f"{serial}{FIELD}{topic_type}{FIELD}{_escaped(rest)}{FIELD}{_escaped(serial_text)}"
            f"{FIELD}\\\\x{key.hex()}{FIELD}{tail}",
            rival=rival,
        )
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

    def __init__(self, speaker: Plain) -> None:
        self.rows: dict[bytes, _Row] = {}
        self.serials: dict[str, bytes] = {}
        self.speaker = speaker


def _tail(smx: Plain) -> str:
    """What all rows of one SMX have in common: rendered once, not for each message."""
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


def _said(speaker: Plain) -> str:
    """Name, version and reply queue, from the report received last."""
    reply_to = speaker.reply_to
    queue = reply_to if reply_to is not None and is_reply_queue(reply_to) else ABSENT
    return _fields(_escaped(speaker.client_name), _escaped(speaker.client_version), queue)


def _fields(*values: str) -> str:
    return FIELD.join((*values, ""))


_NOTHING_SAID = _fields(ABSENT, ABSENT, ABSENT)


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES) if _SPECIAL.search(value) else value
