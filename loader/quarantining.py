"""Puts clients into quarantine and takes them out, and says so to an operator."""

import getpass
import socket
from uuid import UUID

from loader.store.quarantine import QuarantineStore
from runtime.options import GivenClient
from runtime.printable import printable
from schemas.errors import StatesysError

#: Characters of the reason that an operator gives.
LONGEST_REASON = 200
_WHEN = "relays follow within a minute"


def put_in(store: QuarantineStore, client: GivenClient, *, by: str, why: str) -> str:
    """Set a client's reports aside as dead letters.

    Args:
        by: who does it.
        why: the reason, cut to 200 characters.

    Returns:
        What was done.
    """
    client_id = store.client_id_of(client)
    new = store.quarantine(client_id, by=by, why=printable(why, limit=LONGEST_REASON))
    words = f"{client_id} is in quarantine; {_WHEN}"
    return words if new else f"{client_id} was in quarantine already"


def take_out(store: QuarantineStore, client: GivenClient) -> str:
    """Take a client out of quarantine.

    Returns:
        What was done, and what an operator does next.

    Raises:
        StatesysError: the client is not there.
    """
    client_id: UUID = store.client_id_of(client)
    if not store.release(client_id):
        raise StatesysError(f"client {client_id} is not in quarantine")
    return f"released {client_id}; {_WHEN}. Then: statesys dead replay --reason quarantined"


def operator() -> str:
    """Who runs this process: user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A user without a name, as in some containers.
        user = "unknown"
    return printable(f"{user}@{socket.gethostname()}")
