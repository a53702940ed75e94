"""Erlang's port mapper, of which the private broker has one of its own.

Erlang starts it as a daemon by itself and never stops it. Ours is known by its port.
"""

import socket
import struct

from runtime.services.polling import until
from runtime.services.ports import HOST

# KILL_REQ of the EPMD protocol: a length of two bytes, then the request.
_KILL = struct.pack(">HB", 1, ord("k"))


def stop(port: int, *, seconds: float) -> bool:
    """End the mapper on this port; False when it still answers after that many seconds.

    It refuses while a node is registered, which is so for a moment after the broker's end.
    """
    return until(lambda: _asked_to_end(port), seconds=seconds)


def _asked_to_end(port: int) -> bool:
    """Ask once; True when it agreed, or nobody is there."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as mapper:
            mapper.sendall(_KILL)
            return mapper.recv(2) == b"OK"
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
