"""Cut deliveries out of the bytes of the socket, each in one step.

pika reads 4 KiB at a time, copies its buffer after every frame, and makes six objects for a
delivery (method, header and body frame, and their contents). That was a quarter of a relay's work.
Here the socket is read in pieces of 256 KiB, and a complete delivery is cut out of the buffer:

    method frame   Basic.Deliver: consumer tag, delivery tag, redelivered
    header frame   the size of the body, and the properties, which are decoded when they are used
    body frames    as many as the size of the body needs; none for an empty one

Each frame is `type, channel, size, payload, 0xCE` (AMQP 0-9-1, section 4.2.3). pika handles all
other frames and every unusual delivery: a frame between its frames, a wrong end byte, a consumer
that was cancelled. The end of a frame follows from its size, so nothing is searched.

This uses private names of pika, so it is set up for each connection separately, and only if those
names have the meaning that they have in pika 1.3.2 to 1.4.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import pika
from pika.adapters.utils.io_services_utils import _AsyncTransportBase
from pika.connection import Connection
from pika.frame import decode_frame

#: Bytes of one read; pika's 4 KiB are two reports.
_READ_BYTES = 256 * 1024
_METHOD, _HEADER, _BODY, _END = 1, 2, 3, 0xCE
#: Basic.Deliver: class 60, method 60.
_DELIVER = b"\x00\x3c\x00\x3c"
#: Type, channel and size of the payload.
_frame = struct.Struct(">BHI").unpack_from
#: Of a header frame: type, channel, size of the payload, class, weight, size of the body.
_content = struct.Struct(">BHIHHQ").unpack_from
_delivery_tag = struct.Struct(">QB").unpack_from
_FRAME_HEADER, _CONTENT_HEADER = 7, 19
#: Class Basic.
_BASIC = 60
#: Names that pika's two functions use; other names mean a version that we do not know.
_READS = {"_frame_buffer", "_read_frame", "_trim_frame_buffer", "_process_frame"}
_RECEIVES = {"_MAX_RECV_BYTES", "_protocol", "data_received"}


class Cut(NamedTuple):
    """A delivery cut out of the buffer.

    Attributes:
        end: offset at which the next frame begins.
        properties: encoded, beginning with their flags.
    """

    end: int
    consumer_tag: bytes
    delivery_tag: int
    redelivered: bool
    properties: bytes
    body: bytes


class Incomplete(Exception):
    """The delivery is longer than this buffer, which must grow to at least `size` bytes."""

    def __init__(self, size: int = 0) -> None:
        super().__init__(size)
        self.size = size


def cut(data: bytes, at: int) -> Cut | None:
    """Cut out the delivery that begins at an offset of the buffer.

    Args:
        data: frames; the last one may be incomplete.
        at: offset at which a frame begins.

    Returns:
        None when it is another frame, or an unusual delivery, which pika must handle.

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
    """The payloads of the body's frames, and where they end; None if another frame is between."""
    if size and len(data) < at + size:
        # Raised early, so that an incomplete body is not copied with each piece that arrives.
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
    """Make a connection give its deliveries to us from now on, all other frames to pika.

    Args:
        connection: open.
        take: called with each delivery; if it returns False, pika handles that one.

    Returns:
        False, after a warning, when this version of pika is unknown; pika then handles everything.
    """
    transport: Any = getattr(connection, "_transport", None)
    if not (known() and isinstance(transport, _AsyncTransportBase)):
        # Imported late: the console reads queues without a log.
        import structlog  # noqa: PLC0415

        log = structlog.get_logger()
        log.warning("broker.pika_unknown", version=pika.__version__, effect="deliveries are slow")
        return False
    setattr(transport, "_MAX_RECV_BYTES", _READ_BYTES)  # noqa: B010 (private, see the head)
    setattr(connection, "_on_data_available", _Reader(connection, take))  # noqa: B010 (the same)
    return True


def known() -> bool:
    """Whether pika's functions that read frames are those that this module can replace."""
    read = getattr(Connection, "_on_data_available", None)
    receive = getattr(_AsyncTransportBase, "_consume", None)
    return (
        read is not None
        and receive is not None
        and set(read.__code__.co_names) == _READS
        and set(receive.__code__.co_names) >= _RECEIVES
    )


class _Reader:
    """pika calls it with each piece that it reads from the socket."""

    def __init__(self, connection: Any, take: Callable[[Cut], bool]) -> None:
        self._connection = connection
        self._take = take
        # Bytes that pika has read already, of an incomplete frame.
        self._pieces: list[bytes] = [connection._frame_buffer]  # noqa: SLF001 (see the head)
        self._size = len(self._pieces[0])
        # With fewer bytes the delivery is incomplete. Large bodies arrive in many pieces, and
        # joining them after each piece would cost the square of their size.
        self._wanted = 0

    def __call__(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        # pika uses this count to see whether the broker is alive.
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
                    # The frame is complete, or `cut` would have raised Incomplete.
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
