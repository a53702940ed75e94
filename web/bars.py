"""Draws numbers of clients as bars of one length for all clients, divided by condition."""

from collections.abc import Mapping
from typing import NamedTuple

from console.completeness import CONDITIONS

#: Units of a bar that stands for all clients.
_LENGTH = 1000
#: A few clients among a million must be seen.
_SHORTEST = 4


class Piece(NamedTuple):
    """The clients of one condition, in units of the drawing."""

    condition: str
    x: int
    width: int


def bar(clients: Mapping[str, int], total: int) -> list[Piece]:
    """Draw clients by condition.

    Args:
        total: number of clients that the whole length stands for.
    """
    pieces: list[Piece] = []
    at, counted = 0, 0
    for condition in CONDITIONS:
        count = clients.get(condition, 0)
        counted += count
        if count and total:
            end = max(counted * _LENGTH // total, at + _SHORTEST)
            pieces.append(Piece(condition, at, end - at))
            at = end
    return pieces
