"""AMQP properties, read without trust: no content of theirs stops a worker.

pika raises an error while it reads a frame if a header is, for example, a timestamp in
milliseconds (the year 57,000) or NaN. The connection is unusable then, and the next connection
gets the same message again. So headers that cannot be read are replaced by a note, and the message
arrives.
"""

import struct
from typing import Any

import pika
from pika import data, spec
from pika.exceptions import AMQPError

#: The header that replaces unreadable headers.
UNREADABLE = "statesys-unreadable-headers"
#: Levels of tables in tables; deep ones cause a RecursionError, here or when written again.
MAX_NESTING = 16

_NOT_READ = (AMQPError, ArithmeticError, OSError, RecursionError, ValueError, struct.error)


#: AMQP's message properties: pika's own class, exported so that only this package imports pika.
Properties = pika.BasicProperties


class ReceivedProperties(Properties):
    """Properties as the broker sends them, decoded on first use.

    The header table is decoded separately: it takes longer than all others together, and most
    messages are handled without it.
    """

    def __init__(self) -> None:
        # Without pika's `__init__`: for attributes that it sets, `__getattr__` is not called.
        self._encoded = b""

    def decode(self, encoded: bytes, offset: int = 0) -> "ReceivedProperties":
        """Keep the bytes; `__getattr__` decodes them."""
        self._encoded = encoded[offset:]
        return self

    def __getattr__(self, name: str) -> Any:
        """Decode what is not decoded yet; unreadable headers become a note."""
        if name not in _NAMES:
            raise AttributeError(name)
        start, end = _headers(self._encoded)
        if name == "headers":
            self.headers = _read_headers(self._encoded[start:end]) if start < end else None
        else:
            vars(self).update(_read_others(self._encoded, start, end))
        return vars(self)[name]


#: The names of all properties.
_NAMES = frozenset(vars(Properties()))


def _read_headers(table: bytes) -> Any:
    try:
        found: Any = data.decode_table(table, 0)[0]
        if _nesting(found) > MAX_NESTING:
            raise ValueError(f"nested more than {MAX_NESTING} deep")
        # A dead letter needs them again; pika reads floating numbers that it cannot write.
        headers_size(found)
    except _NOT_READ as error:
        note = f"{len(table)} bytes: {type(error).__name__} {error}"
        return {UNREADABLE: note[:200]}
    return found


def _read_others(encoded: bytes, start: int, end: int) -> dict[str, Any]:
    """All properties but the headers, by pika."""
    flags: int = struct.unpack_from(">H", encoded)[0] & ~Properties.FLAG_HEADERS
    found = Properties()
    found.decode(struct.pack(">H", flags) + encoded[2:start] + encoded[end:])
    others = vars(found)
    del others["headers"]
    return others


# pika makes its properties of this class.
spec.props[Properties.INDEX] = ReceivedProperties


def headers_size(headers: dict[str, Any]) -> int:
    """Bytes that headers take when they are sent.

    All properties are sent in one frame of at most 128 KiB, and pika may write a table up to 2.5
    times as long as the one it read.
    """
    return data.encode_table([], headers)


def _headers(encoded: bytes) -> tuple[int, int]:
    """Offsets at which the header table begins and ends; equal when there is none."""
    flags: int = struct.unpack_from(">H", encoded)[0]
    at = 2
    for before in (Properties.FLAG_CONTENT_TYPE, Properties.FLAG_CONTENT_ENCODING):
        if flags & before:
            at += 1 + encoded[at]
    if not flags & Properties.FLAG_HEADERS:
        return at, at
    length: int = struct.unpack_from(">I", encoded, at)[0]
    return at, at + 4 + length


def _nesting(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_nesting, inner), default=0)
