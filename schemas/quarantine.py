"""The list of quarantined clients, as loaders publish it and relays read it.

A JSON object with the ids of all of them, sorted: the same list has the same bytes.
"""

import json
from collections.abc import Iterable
from uuid import UUID

from schemas.errors import Refused
from schemas.refusal import Reason

#: Clients in quarantine at a time, so that each relay holds the list and reads it in milliseconds.
MAX_QUARANTINED = 10_000
#: Bytes of a list; one of 10,000 clients has 400,000.
MAX_LIST_BYTES = 1024 * 1024


def render_quarantine(clients: Iterable[UUID]) -> bytes:
    """Write the list; at most `MAX_QUARANTINED` clients."""
    return json.dumps({"clients": sorted(map(str, clients))}).encode()


def parse_quarantine(body: bytes) -> frozenset[UUID]:
    """Read the list.

    Raises:
        Refused: these bytes are not such a list, or it is too long.
    """
    if len(body) > MAX_LIST_BYTES:
        raise Refused(Reason.TOO_LARGE, f"a list of {len(body)} bytes")
    try:
        clients = json.loads(body)["clients"]
        if not isinstance(clients, list) or len(clients) > MAX_QUARANTINED:
            raise ValueError
        return frozenset(map(UUID, clients))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        detail = f"no list of quarantined clients: {type(error).__name__}"
        raise Refused(Reason.BAD_STRUCTURE, detail) from None
