"""Join outgoing frames, so that one system call sends many.

pika sends each frame alone: three calls, and three packets, for every message that is published.
Each pass of a session's loop joins the frames that were added since the last pass.

This uses a private name of pika, as `runtime.broker.deliveries` does; if the name is missing,
frames are sent one by one, as pika does it.
"""

from collections import deque
from typing import Any

import pika

#: Bytes up to which frames are joined. Larger pieces cost more: pika copies the part of a piece
#: that the socket did not take.
_PIECE = 64 * 1024


def join_frames(connection: pika.SelectConnection) -> None:
    """Join the small frames that wait to be sent; bytes and order stay the same.

    The first one may have been offered to TLS already; it then begins a longer piece, which
    OpenSSL accepts as the same write.
    """
    transport: Any = getattr(connection, "_transport", None)
    waiting = getattr(transport, "_tx_buffers", None)
    if not isinstance(waiting, deque) or len(waiting) < 2:
        return
    pieces: list[bytes] = []
    frames: list[bytes] = []
    size = 0
    for frame in waiting:
        if frames and size + len(frame) > _PIECE:
            pieces.append(b"".join(frames))
            frames, size = [], 0
        frames.append(frame)
        size += len(frame)
    pieces.append(b"".join(frames))
    waiting.clear()
    waiting.extend(pieces)
