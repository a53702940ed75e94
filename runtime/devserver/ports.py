"""TCP ports of 127.0.0.1."""

import random
import socket

from runtime.devserver.errors import ServicesError
from runtime.devserver.processes import until

HOST = "127.0.0.1"

# Below the range from which Linux takes the local ports of outgoing connections (32,768 and up):
# at the next start, such a connection could use the port.
_RANGE = range(20_000, 30_000)

# Seconds that a killed server may take until its last thread releases its ports.
_LETTING_GO = 5

# Ports to try before giving up: by then most of the range is in use.
_TRIES = 1_000


def choose(count: int) -> list[int]:
    """Different ports that are free now.

    Raises:
        ServicesError: too few free ports were found.
    """
    chosen: list[int] = []
    for port in random.sample(_RANGE, _TRIES):
        if free(port):
            chosen.append(port)
        if len(chosen) == count:
            return chosen
    msg = f"no free ports on {HOST} between {_RANGE.start} and {_RANGE.stop}"
    raise ServicesError(msg)


def free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # Connections of a server that has ended stay in TIME_WAIT for a minute; ignore them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def require_free(port: int, *, purpose: str) -> None:
    """Require a free port, with a clear message in place of a server's stack trace.

    Raises:
        ServicesError: another program listens there.
    """
    if not until(lambda: free(port), seconds=_LETTING_GO):
        msg = (
            f"port {port} on {HOST} ({purpose}) is taken by another program: stop that one "
            f"(ss -ltnp shows it), or give up the private data with `statesys down --purge`"
        )
        raise ServicesError(msg)
