"""Deliveries cut out of what the socket gives, in one step each.

pika reads 4 KiB at a time, copies its buffer after every frame, and makes six objects of a delivery
(method, header and body frame, and what is in them). That was a quarter of a relay's work. Here the
socket is read in pieces of 256 KiB, and a delivery that is whole in them is taken as it lies there:

    method frame   Basic.Deliver: consumer tag, delivery tag, redelivered
    header frame   the size of the body, and the properties, which stay bytes until somebody asks
    body frames    as many as the size of the body needs; none for an empty one

Each frame is `type, channel, size, payload, 0xCE` (AMQP 0-9-1, section 4.2.3). All other frames go
pika's way, and so does a delivery that looks unusual in anything: a frame between its frames, a
wrong end, a consumer that was cancelled. Nothing is searched for: where a frame ends follows from
its size.

This leans on private names of pika, so it is set up for one connection at a time, and only where
those names mean what they meant in the versions that were read: 1.3.2 to 1.4.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import pika
import structlog
from pika.adapters.utils.io_services_utils import _AsyncTransportBase
from pika.connection import Connection
from pika.frame import decode_frame

_log = structlog.get_logger()

#: Bytes of one read; pika's 4 KiB are two reports.
_READ_BYTES = 256 * 1024
_METHOD, _HEADER, _BODY, _END = 1, 2, 3, 0xCE
#: Basic.Deliver: class 60, method 60.
_DELIVER = b"\x00\x3c\x00\x3c"
#: Type, channel and size of the payload.
_frame = struct.Struct(">BHI").unpack_from
#: Of a header frame, behind the channel: size, class, weight, size of the body.
_content = struct.Struct(">BHIHHQ").unpack_from
_delivery_tag = struct.Struct(">QB").unpack_from
_FRAME_HEADER, _CONTENT_HEADER = 7, 19
#: Class Basic.
_BASIC = 60
#: What pika's two functions use; another list means another pika.
_READS = {"_frame_buffer", "_read_frame", "_trim_frame_buffer", "_process_frame"}
_RECEIVES = {"_MAX_RECV_BYTES", "_protocol", "data_received"}


class Cut(NamedTuple):
    """A delivery as it lay in the buffer.

    Attributes:
        end: where the next frame begins.
        properties: encoded, from their flags on.
    """

    end: int
    consumer_tag: bytes
    delivery_tag: int
    redelivered: bool
    properties: bytes
    body: bytes


class Incomplete(Exception):
    """The delivery ends behind this buffer, which must reach `size` bytes at least."""

    def __init__(self, size: int = 0) -> None:
        super().__init__(size)
        self.size = size


def cut(data: bytes, at: int) -> Cut | None:
    """Take the delivery that begins at a place of the buffer.

    Args:
        data: frames, the last of them perhaps in part.
        at: where a frame begins.

    Returns:
        None when it is another frame, or a delivery that pika had better look at.

    Raises:
        Incomplete: the buffer ends before the frame or the delivery does.
    """
    try:
        kind, channel, length = _frame(data, at)
        method = at + _FRAME_HEADER
        header = method + length + 1
        if data[header - 1] != _END or kind != _METHOD or not data.startswith(_DELIVER, method):
            return None
        consumer = method + len(_DELIVER) + 1
        consumer_end = consumer + data[consumer - 1]
        delivery_tag, bits = _delivery_tag(data, consumer_end)
        kind, same, length, of_class, _, body_size = _content(data, header)
        body = header + _FRAME_HEADER + length + 1
        if data[body - 1] != _END or (kind, same, of_class) != (_HEADER, channel, _BASIC):
            return None
    except (IndexError, struct.error):
        raise Incomplete from None
    parts, end = _body(data, body, channel, body_size)
    if parts is None:
        return None
    return Cut(
        end,
        data[consumer:consumer_end],
        delivery_tag,
        bool(bits & 1),
        data[header + _CONTENT_HEADER : body - 1],
        parts[0] if len(parts) == 1 else b"".join(parts),
    )


def _body(data: bytes, at: int, channel: int, size: int) -> tuple[list[bytes] | None, int]:
    """The body's frames, and where they end; None when there is another frame among them."""
    if size and len(data) < at + size:
        # Not to be looked at, and copied, with each piece that comes.
        raise Incomplete(at + size)
    parts = []
    try:
        while size > 0:
            kind, same, length = _frame(data, at)
            end = at + _FRAME_HEADER + length
            if data[end] != _END or (kind, same) != (_BODY, channel):
                return None, at
            parts.append(data[at + _FRAME_HEADER : end])
            size -= length
            at = end + 1
    except (IndexError, struct.error):
        raise Incomplete from None
    return (parts, at) if size == 0 else (None, at)


def cut_out(connection: pika.SelectConnection, take: Callable[[Cut], bool]) -> bool:
    """Let a connection give its deliveries to us from now on, all other frames to pika.

    Args:
        connection: open.
        take: called with each delivery; False sends it pika's way after all.

    Returns:
        False, after a warning, when this pika is not known: everything then goes its way.
    """
    transport: Any = getattr(connection, "_transport", None)
    if not (known() and isinstance(transport, _AsyncTransportBase)):
        _log.warning("broker.pika_unknown", version=pika.__version__, effect="deliveries are slow")
        return False
    setattr(transport, "_MAX_RECV_BYTES", _READ_BYTES)  # noqa: B010 (private, see the head)
    setattr(connection, "_on_data_available", _Reader(connection, take))  # noqa: B010 (the same)
    return True


def known() -> bool:
    """Whether pika's own reading of frames is the one that is replaced here."""
    read = getattr(Connection, "_on_data_available", None)
    receive = getattr(_AsyncTransportBase, "_consume", None)
    return (
        read is not None
        and receive is not None
        and set(read.__code__.co_names) == _READS
        and set(receive.__code__.co_names) >= _RECEIVES
    )


class _Reader:
    """What pika calls with each piece that the socket gave."""

    def __init__(self, connection: Any, take: Callable[[Cut], bool]) -> None:
        self._connection = connection
        self._take = take
        # What pika had read, and is no whole frame yet.
        self._pieces: list[bytes] = [connection._frame_buffer]  # noqa: SLF001 (see the head)
        self._size = len(self._pieces[0])
        # Below that many bytes there is nothing to cut. Large bodies come in many pieces, and
        # joining them again and again would cost the square of their size.
        self._wanted = 0

    def __call__(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        # pika tells by it whether the broker is alive.
        self._connection.bytes_received += len(piece)
        if self._size < self._wanted:
            return
        data = b"".join(self._pieces)
        at = self._wanted = 0
        try:
            while at < len(data):
                found = cut(data, at)
                if found is not None and self._take(found):
                    at = found.end
                else:
                    # It is whole, or `cut` would have said so.
                    length, frame = decode_frame(data[at : at + _size(data, at)])
                    at += length
                    self._connection._process_frame(frame)  # noqa: SLF001 (see the head)
        except Incomplete as incomplete:
            self._wanted = incomplete.size - at
        self._pieces = [data[at:]]
        self._size = len(data) - at


def _size(data: bytes, at: int) -> int:
    """Bytes of the frame that begins there."""
    return _FRAME_HEADER + int(_frame(data, at)[2]) + 1
