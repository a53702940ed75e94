"""Ranges of serials as plain sets of numbers, where a test has few of them."""

from collections.abc import Iterable

from schemas.serials import SerialRanges


def numbers(ranges: Iterable[tuple[int, int]]) -> set[int]:
    """Every serial of the ranges."""
    return {number for first, last in ranges for number in range(first, last + 1)}


def ranges_of(serials: Iterable[int]) -> SerialRanges:
    """The ranges of single serials."""
    return SerialRanges((serial, serial) for serial in serials)
