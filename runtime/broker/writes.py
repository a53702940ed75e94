"""Frames on their way out, joined, so that many go with one call of the system.

pika gives the socket each frame for itself: three calls, and three packets, for every message that
is published. A turn of a session's loop joins what has gathered since the last one.

This leans on a private name of pika, as `runtime.broker.deliveries` does; without it, every frame
goes for itself, as pika means it.
"""

from collections import deque
from typing import Any

import pika

#: Bytes up to which frames are joined. What a socket does not take of a piece is copied.
_PIECE = 64 * 1024


def join_frames(connection: pika.SelectConnection) -> None:
    """Join the small frames that wait to be sent. Their bytes and their order stay.

    The first one may have been offered to TLS already; it then begins a longer piece, which
    OpenSSL takes as the same write.
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
