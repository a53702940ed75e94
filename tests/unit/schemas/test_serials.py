"""Ranges of serials, compared with plain sets of numbers."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.serials import FIRST_SERIAL, LAST_SERIAL, SerialRange, SerialRanges
from tests.support.serials import numbers, ranges_of

#: Few numbers, so that ranges touch and overlap.
NUMBERS = st.integers(1, 40)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS).map(lambda pair: (min(pair), max(pair))), max_size=8)


@given(PAIRS)
def test_ranges_are_sorted_apart_and_hold_what_they_were_built_from(
    pairs: list[tuple[int, int]],
) -> None:
    ranges = SerialRanges(pairs)
    assert numbers(ranges) == numbers(pairs)
    listed = list(ranges)
    assert all(left.last + 1 < right.first for left, right in pairwise(listed))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SerialRanges.__or__, set.__or__),
        (SerialRanges.__sub__, set.__sub__),
        (SerialRanges.__and__, set.__and__),
    ],
    ids=["union", "difference", "intersection"],
)
@given(left=PAIRS, right=PAIRS)
def test_the_algebra_is_that_of_sets(
    ours: Callable[[SerialRanges, SerialRanges], SerialRanges],
    theirs: Callable[[set[int], set[int]], set[int]],
    left: list[tuple[int, int]],
    right: list[tuple[int, int]],
) -> None:
    found = ours(SerialRanges(left), SerialRanges(right))
    assert numbers(found) == theirs(numbers(left), numbers(right))
    assert found == ranges_of(theirs(numbers(left), numbers(right)))


@given(PAIRS, st.integers(1, 45))
def test_missing_is_one_to_highest_without_what_is_there(
    pairs: list[tuple[int, int]], highest: int
) -> None:
    missing = SerialRanges([(FIRST_SERIAL, highest)]) - SerialRanges(pairs)
    assert numbers(missing) == set(range(1, highest + 1)) - numbers(pairs)


@given(PAIRS, st.integers(0, 45))
def test_a_serial_is_in_the_ranges_when_it_is_in_the_set(
    pairs: list[tuple[int, int]], serial: int
) -> None:
    assert (serial in SerialRanges(pairs)) == (serial in numbers(pairs))


@given(st.lists(NUMBERS))
def test_equal_sets_are_equal_ranges_with_equal_hashes(found: list[int]) -> None:
    one, other = ranges_of(found), ranges_of(reversed(found))
    assert one == other
    assert hash(one) == hash(other)


@given(NUMBERS, NUMBERS)
def test_other_sets_are_other_ranges(one: int, other: int) -> None:
    assert (ranges_of([one]) == ranges_of([other])) == (one == other)
    assert ranges_of([one]) != [(one, one)]


def test_ranges_have_a_hash_for_many_buckets() -> None:
    assert len({hash(ranges_of([n])) for n in range(1, 101)}) > 90


def test_the_whole_of_int8_is_one_range() -> None:
    everything = SerialRanges([(FIRST_SERIAL, 8), (9, LAST_SERIAL)]) - SerialRanges()
    assert list(everything) == [SerialRange(FIRST_SERIAL, LAST_SERIAL)]
    assert LAST_SERIAL in everything


def test_a_range_ends_after_it_starts() -> None:
    with pytest.raises(ValueError, match="ends before"):
        SerialRanges([(5, 4)])


def test_ranges_show_as_a_person_would_write_them() -> None:
    assert repr(SerialRanges([(1, 3), (4, 6), (9, 9)])) == "SerialRanges(1-6, 9)"
