"""SMX into rows of the stage: everything that can be computed before a transaction opens."""

import re
from collections.abc import Iterator, Sequence

from schemas.digest import ABSENT, FIELD, PARAM, digest_of
from schemas.plain import Plain
from schemas.report import UNNUMBERED_TOPICS
from schemas.topology import is_reply_queue

_NULL = r"\N"
#: What separates fields and rows, the escape itself, and what brings an escape into an array.
#: Few values hold any of them.
_SPECIAL = re.compile(r'[\\\t\n\r"]')
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
#: The place of the parameters among the fields of a message.
_PARAMS = 10
_UNNUMBERED = frozenset(map(str, UNNUMBERED_TOPICS))


def stage_lines(chunk: Sequence[Plain]) -> bytes:
    """Render a chunk in PostgreSQL's COPY text format, in the column order of the stage.

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
    return "".join([f"{r.text}{r.said}{r.copies}\t{r.rival}\n" for r in rows]).encode()


def _new_rows(smx: Plain, client: "_Client") -> Iterator["_Row"]:
    """The rows of an SMX that are not in the chunk yet; copies of others are counted there."""
    tail = _tail(smx)
    for text in smx.texts:
        key = digest_of(text)
        known = client.rows.get(key)
        if known is not None:
            known.copies += 1
            continue
        serial, columns = _columns(text, key)
        rival = serial != _NULL and client.serials.setdefault(serial, key) != key
        row = client.rows[key] = _Row(f"{smx.client_id}\t{columns}{tail}", rival=rival)
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


def _columns(message: str, key: bytes) -> tuple[str, str]:
    """A message's serial, and its columns; `message` is the text of its digest, `key`."""
    # Escaped as a whole, which leaves the separators of the fields alone.
    escaped = message.translate(_ESCAPES) if _SPECIAL.search(message) else message
    (
        number,
        topic_type,
        topic_id,
        id_type,
        user_name,
        user_sid,
        state_id,
        criticality,
        message_time,
        count,
        _,
        details,
        details_type,
    ) = escaped.replace(ABSENT, _NULL).split(FIELD)
    serial, serial_text = (_NULL, number) if topic_type in _UNNUMBERED else (number, _NULL)
    params = "{}" if count == "0" else _array(message.split(FIELD)[_PARAMS])
    # Plain concatenation of fields: measured as fast as psycopg's own row writer, which would
    # need a binary adapter for each type.
    return serial, (
        f"{serial}\t{serial_text}\t\\\\x{key.hex()}\t{topic_type}\t{topic_id}\t{id_type}\t"
        f"{user_name}\t{user_sid}\t{state_id}\t{criticality}\t{message_time}\t{params}\t"
        f"{details}\t{details_type}\t"
    )


def _tail(smx: Plain) -> str:
    """What all rows of one SMX have in common: rendered once, not for each message."""
    request_id, first, last = smx.claim or (_NULL, _NULL, _NULL)
    return (
        f"{smx.date}\t{smx.forwarded_at or _NULL}\t{smx.received_at}\t{smx.smx_id}\t"
        f"{smx.batch_id}\t{request_id}\t{first}\t{last}\t"
    )


_NOTHING_SAID = f"{_NULL}\t{_NULL}\t{_NULL}\t"


def _said(speaker: Plain) -> str:
    """Name, version and reply queue, from the report received last."""
    reply_to = speaker.reply_to
    queue = reply_to if reply_to is not None and is_reply_queue(reply_to) else _NULL
    return f"{_escaped(speaker.client_name)}\t{_escaped(speaker.client_version)}\t{queue}\t"


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES) if _SPECIAL.search(value) else value


def _array(params: str) -> str:
    quoted = [
        '"' + param.replace("\\", r"\\").replace('"', r"\"") + '"' for param in params.split(PARAM)
    ]
    return _escaped("{" + ",".join(quoted) + "}")
