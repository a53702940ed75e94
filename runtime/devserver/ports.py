"""TCP ports of 127.0.0.1."""

import random
import socket

from runtime.devserver.errors import ServicesError
from runtime.devserver.processes import until

HOST = "127.0.0.1"

# Below the range from which Linux takes the local end of outgoing connections (32,768 and up):
# a port there would now and then be taken at the next start by somebody's passing connection.
_RANGE = range(20_000, 30_000)

# Seconds that a killed server may take until its last thread lets go of its ports.
_LETTING_GO = 5

# Looks before giving up. A machine with most of the range taken is not one to run this on.
_LOOKS = 1_000


def choose(count: int) -> list[int]:
    """Different ports that nobody listens on now.

    Raises:
        ServicesError: the range is as good as full.
    """
    chosen: list[int] = []
    for port in random.sample(_RANGE, _LOOKS):
        if free(port):
            chosen.append(port)
        if len(chosen) == count:
            return chosen
    msg = f"no free ports on {HOST} between {_RANGE.start} and {_RANGE.stop}"
    raise ServicesError(msg)


def free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # Connections of a server that has ended are in TIME_WAIT for a minute and hinder nobody.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def require_free(port: int, *, purpose: str) -> None:
    """Say clearly what a server would say in a stack trace.

    Raises:
        ServicesError: somebody listens there.
    """
    if not until(lambda: free(port), seconds=_LETTING_GO):
        msg = (
            f"port {port} on {HOST} ({purpose}) is taken by another program: stop that one "
            f"(ss -ltnp shows it), or give up the private data with `statesys down --purge`"
        )
        raise ServicesError(msg)
