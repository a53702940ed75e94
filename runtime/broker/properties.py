"""AMQP properties, read without trust: whatever a sender puts into them, a worker goes on.

pika raises while it reads a frame when a header is, for example, a timestamp in milliseconds (the
year 57,000) or not a number. The connection is useless then, and the next one meets the same
message again. So headers that cannot be read are replaced by a note, and the message arrives.
"""

import struct
from typing import Any

import pika
from pika import data, spec
from pika.exceptions import AMQPError

#: The header that stands in for headers nobody could read.
UNREADABLE = "statesys-unreadable-headers"
#: Tables in tables; deeper ones end in a RecursionError, here or when they are written again.
MAX_NESTING = 16

_NOT_READ = (AMQPError, ArithmeticError, OSError, RecursionError, ValueError, struct.error)


#: AMQP's message properties. pika's own class, exported so that nobody else imports pika.
Properties = pika.BasicProperties


class _Tolerant(Properties):
    """Properties as they come from the broker."""

    def decode(self, encoded: bytes, offset: int = 0) -> "_Tolerant":
        """Read the properties; unreadable headers become a note about them."""
        start, end = _headers(encoded, offset)
        try:
            super().decode(encoded, offset)
            if self.headers and _nesting(self.headers) > MAX_NESTING:
                raise ValueError(f"nested more than {MAX_NESTING} deep")
        except _NOT_READ as error:
            flags: int = struct.unpack_from(">H", encoded, offset)[0] & ~self.FLAG_HEADERS
            super().decode(struct.pack(">H", flags) + encoded[offset + 2 : start] + encoded[end:])
            note = f"{end - start} bytes: {type(error).__name__} {error}"
            self.headers = {UNREADABLE: note[:200]}
        return self


# What pika makes of a content header of this class.
spec.props[Properties.INDEX] = _Tolerant


def headers_size(headers: dict[str, Any]) -> int:
    """Bytes that headers take when they are sent.

    All properties travel in one frame of at most 128 KiB, and pika may write a table up to 2.5
    times as long as it read it.
    """
    return data.encode_table([], headers)


def _headers(encoded: bytes, offset: int) -> tuple[int, int]:
    """Where the header table begins and ends; two equal numbers when there is none."""
    flags: int = struct.unpack_from(">H", encoded, offset)[0]
    at = offset + 2
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
