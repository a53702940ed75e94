"""Draws the serials of a client as a strip: any number of them, a bounded number of boxes."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from console.trace.places import Place
from schemas.serials import SerialRange, SerialRanges

#: Units of the drawing: the serials up to the highest one, and the open end behind it.
SERIALS, END = 960, 40
WIDTH = SERIALS + END
#: One missing serial among a billion must be seen.
_NARROWEST = 3
#: Later ones are drawn over earlier ones where both have a part of the same unit.
_ORDER = (Place.UNKNOWN, Place.RECEIVED, Place.OVERTAKEN, Place.MISSING, Place.REUSED)
#: Ranges of a place that the table behind the strip lists.
_LISTED = 50


class Box(NamedTuple):
    """A part of the strip, in units of the drawing."""

    place: Place
    x: int
    width: int


class PlaceRow(NamedTuple):
    """A line of the table behind the strip; `listed` are the highest ranges, `more` the others."""

    place: Place
    serials: int
    listed: list[SerialRange]
    more: int


class Strip(NamedTuple):
    """The drawing and its table."""

    boxes: list[Box]
    rows: list[PlaceRow]
    highest: int


def strip(found: Mapping[Place, SerialRanges], highest: int) -> Strip | None:
    """Draw the serials up to the highest one; None for a client that numbers no messages."""
    if not highest:
        return None
    boxes = [box for place in _ORDER for box in _boxes(place, found[place], highest)]
    boxes.append(Box(Place.UNKNOWN, SERIALS, END))
    return Strip(boxes, [_row(place, list(ranges)) for place, ranges in found.items()], highest)


def _boxes(place: Place, ranges: Iterable[SerialRange], highest: int) -> list[Box]:
    drawn: list[Box] = []
    for first, last in ranges:
        begin = min((first - 1) * SERIALS // highest, SERIALS - _NARROWEST)
        end = max(-(-last * SERIALS // highest), begin + _NARROWEST)
        if drawn and begin <= drawn[-1].x + drawn[-1].width:
            begin = drawn.pop().x
        drawn.append(Box(place, begin, end - begin))
    return drawn


def _row(place: Place, ranges: list[SerialRange]) -> PlaceRow:
    serials = sum(last - first + 1 for first, last in ranges)
    listed = ranges[: -_LISTED - 1 : -1]
    return PlaceRow(place, serials, listed, len(ranges) - len(listed))
