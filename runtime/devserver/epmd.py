"""Erlang's port mapper: the private broker has one of its own.

Erlang starts it as a daemon and never stops it. We identify ours by its port.
"""

import socket
import struct

from runtime.devserver.ports import HOST, require_free
from runtime.devserver.processes import until

# KILL_REQ and NAMES_REQ of the EPMD protocol: a length of two bytes, then the request.
_KILL = struct.pack(">HB", 1, ord("k"))
_NAMES = struct.pack(">HB", 1, ord("n"))


def require_port(port: int) -> None:
    """Check that a mapper can listen there, or that one of an earlier broker still does.

    Raises:
        ServicesError: another program listens there.
    """
    if not _answers(port):
        require_free(port, purpose="RabbitMQ, Erlang's port mapper")


def stop(port: int, *, seconds: float) -> bool:
    """End the mapper on this port; False when it still answers after that many seconds.

    It refuses while a node is registered; the broker's node stays so for a moment after its end.
    """
    return until(lambda: _asked_to_end(port), seconds=seconds)


def _asked_to_end(port: int) -> bool:
    """Ask once; True when the mapper agreed, or none is there."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as mapper:
            mapper.sendall(_KILL)
            return mapper.recv(2) == b"OK"
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def _answers(port: int) -> bool:
    """Whether a mapper listens there: it begins its answer with its own port."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as mapper:
            mapper.sendall(_NAMES)
            return mapper.recv(4) == struct.pack(">I", port)
    except OSError:
        return False
