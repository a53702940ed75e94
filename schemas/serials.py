"""Sets of serials as sorted, disjoint, inclusive ranges.

The promise that no message is lost rests on one line: *missing = [1, highest] - accounted*.
PostgreSQL keeps the same sets as `int8multirange`; the rest of the program and the tests of the
laws use these values.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

FIRST_SERIAL = 1
#: A serial is a positive int8; the topmost value is kept free for exclusive upper bounds.
LAST_SERIAL = 2**63 - 2


class SerialRange(NamedTuple):
    """An inclusive range of serials, `first <= last`."""

    first: int
    last: int


class SerialRanges:
    """An immutable set of serials.

    Built from any ranges in any order; overlapping and adjacent ones become one.

    Example:
        >>> SerialRanges([(1, 3), (4, 6), (9, 9)])
        SerialRanges(1-6, 9)
        >>> SerialRanges([(1, 5)]) - SerialRanges([(1, 3)])
        SerialRanges(4-5)
    """

    __slots__ = ("_firsts", "_ranges")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        merged: list[SerialRange] = []
        for first, last in sorted(ranges):
            if first > last:
                raise ValueError(f"a range ends before it starts: {first}-{last}")
            if merged and first <= merged[-1].last + 1:
                merged[-1] = SerialRange(merged[-1].first, max(merged[-1].last, last))
            else:
                merged.append(SerialRange(first, last))
        self._ranges = tuple(merged)
        self._firsts = [r.first for r in merged]

    def __iter__(self) -> Iterator[SerialRange]:
        return iter(self._ranges)

    def __contains__(self, serial: int) -> bool:
        at = bisect_right(self._firsts, serial)
        return at > 0 and serial <= self._ranges[at - 1].last

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SerialRanges) and self._ranges == other._ranges

    def __hash__(self) -> int:
        return hash(self._ranges)

    def __repr__(self) -> str:
        parts = (str(r.first) if r.first == r.last else f"{r.first}-{r.last}" for r in self)
        return f"SerialRanges({', '.join(parts)})"

    def __or__(self, other: "SerialRanges") -> "SerialRanges":
        return SerialRanges([*self, *other])

    def __sub__(self, other: "SerialRanges") -> "SerialRanges":
        left: list[tuple[int, int]] = []
        cuts = list(other)
        at = 0
        for first, last in self:
            start = first
            while at < len(cuts) and cuts[at].last < start:
                at += 1
            cut = at
            while cut < len(cuts) and cuts[cut].first <= last:
                if start < cuts[cut].first:
                    left.append((start, cuts[cut].first - 1))
                start = max(start, cuts[cut].last + 1)
                cut += 1
            if start <= last:
                left.append((start, last))
        return SerialRanges(left)

    def __and__(self, other: "SerialRanges") -> "SerialRanges":
        return self - (self - other)
