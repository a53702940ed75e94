"""Where the serials of a client are, all of them at once, by ranges."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from console.queries.rows import ClientRow
from console.queries.why import OpenRange
from schemas.serials import FIRST_SERIAL, SerialRanges


class Place(StrEnum):
    """What became of a serial; `statesys trace` tells the same of one serial at a time."""

    RECEIVED = "received"
    OVERTAKEN = "overtaken by a resync"
    MISSING = "missing"
    REUSED = "used twice"
    #: Neither accounted for nor missing, or above the highest serial.
    UNKNOWN = "not known yet"


def places(
    client: ClientRow, missing: Iterable[OpenRange], reused: Iterable[int]
) -> Mapping[Place, SerialRanges]:
    """Divide the serials from 1 to the highest one among the places.

    Below the first serial of the last resync everything is overtaken, whether it was received or
    not. A merged range counts as missing, although some of its serials may have arrived.

    Args:
        missing: open ranges of the client.
        reused: serials that were used twice.
    """
    highest = client.highest_serial
    everything = SerialRanges([(FIRST_SERIAL, highest)] if highest else [])
    lacking = SerialRanges((row.first_serial, row.last_serial) for row in missing)
    twice = SerialRanges((serial, serial) for serial in reused) & everything
    below = client.resynced_below - 1
    overtaken = SerialRanges([(FIRST_SERIAL, below)] if below >= FIRST_SERIAL else [])
    known = client.accounted - lacking - twice
    return {
        Place.RECEIVED: known - overtaken,
        Place.OVERTAKEN: known & overtaken,
        Place.MISSING: lacking - twice,
        Place.REUSED: twice,
        Place.UNKNOWN: everything - client.accounted - lacking - twice,
    }
