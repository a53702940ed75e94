"""Tell the service manager that started this process what it does: systemd's protocol.

The protocol is one datagram of lines to a socket, and sd_notify(3) invites programs to write it
themselves. No library is used: `sdnotify` had its last release in 2017, `systemd-python` needs a
compiler, and each of them may block a worker while the manager does not read.
"""

import os
import re
import socket
from contextlib import suppress

from runtime.printable import printable

#: Characters of a line; a datagram takes far more, and a person reads one line.
_LONGEST = 400
#: Microseconds, of 64 bits; 0 is no limit.
_NUMBER = re.compile("[1-9][0-9]{0,18}")


def tell_manager(**lines: str) -> bool:
    """Send lines such as `READY="1"`; never waits.

    Source: sd_notify(3).

    Returns:
        False if no manager asked to be told, or if it takes nothing now.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    # One line for each name, whatever words of a server are in its text.
    told = "\n".join(f"{name}={printable(text, limit=_LONGEST)}" for name, text in lines.items())
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(told.encode(errors="replace"), socket.MSG_DONTWAIT, address)
        return True
    return False


def watchdog_limit() -> float | None:
    """Seconds without a word after which the manager ends this process; None if it never does.

    Source: sd_watchdog_enabled(3).
    """
    this = str(os.getpid())
    limit = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", this) != this or not _NUMBER.fullmatch(limit):
        return None
    return int(limit) / 1_000_000
