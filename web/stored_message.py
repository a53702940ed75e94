"""One message of the history, by its name in a URL, and its XML."""

import re
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from console.queries.messages import StoredMessage
from schemas.digest import DIGEST_BYTES
from schemas.errors import StatesysError
from schemas.report import StateMessage
from schemas.report_writer import message_xml
from schemas.serials import LAST_SERIAL
from web.site import Site

#: A message of a client: its number, if it has one, and its digest.
KEY = f"^([1-9][0-9]{{0,18}})?-([0-9a-f]{{{2 * DIGEST_BYTES}}})$"


class Found(NamedTuple):
    """A message and the moment at which it was read."""

    now: datetime
    message: StoredMessage


def find_message(site: Site, client_id: UUID, key: str) -> Found:
    """Find a message.

    Raises:
        StatesysError: the history does not have it.
    """
    with site.readers.snapshot() as queries:
        named = re.fullmatch(KEY, key)
        serial = int(named[1]) if named and named[1] else None
        found = None
        if named and (serial is None or serial <= LAST_SERIAL):
            found = queries.stored_message(client_id, serial, bytes.fromhex(named[2]))
        now = queries.now()
    if found is None:
        raise StatesysError(
            "the history does not have this message; `statesys status` tells since when it is kept"
        )
    return Found(now, found)


def rendered(found: StoredMessage) -> str:
    """A message as XML, from its row: attributes and spaces may differ from what was sent."""
    kept = {name: getattr(found, name) for name in StateMessage._fields}
    return message_xml(StateMessage(**{**kept, "params": tuple(found.params)}))
