"""Acks: as few as possible, and only for finished deliveries."""

from hypothesis import given
from hypothesis import strategies as st

from relay.settling import Settling


def settling(*tags: int) -> Settling:
    found = Settling()
    for tag in tags:
        found.add_delivery(tag)
    return found


def test_what_is_done_is_acked_with_one_tag() -> None:
    found = settling(1, 2, 3)
    assert found.settle((1, 2)) == 2
    assert found.settle((3,)) == 3
    assert len(found._pending) == 0


def test_nothing_is_acked_before_an_older_one_is_done() -> None:
    found = settling(1, 2, 3)
    assert found.settle((2, 3)) is None
    assert len(found._pending) == 3
    assert found.settle((1,)) == 3


def test_tags_may_have_gaps() -> None:
    # The broker numbers every delivery; the session returns some before the relay sees them.
    found = settling(2, 5, 9)
    assert found.settle((9,)) is None
    assert found.settle((2,)) == 2
    assert found.settle((5,)) == 9


def test_what_waits_behind_one_that_cannot_be_sent_is_acked_singly_when_it_is_much() -> None:
    found = settling(*range(1, 11))
    assert found.settle((2, 3, 4, 5)) is None
    assert found.stragglers(4) == []
    assert found.stragglers(3) == [2, 3, 4, 5]
    assert len(found._pending) == 6
    assert found.settle((1, 6)) == 6


@given(st.data(), st.lists(st.integers(1, 3), min_size=1, max_size=30))
def test_what_is_acked_is_always_done_and_in_the_end_everything_is(
    data: st.DataObject, gaps: list[int]
) -> None:
    tags = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    order = data.draw(st.permutations(tags))
    taken = data.draw(st.integers(1, len(tags)))
    found = settling(*tags[:taken])
    done: set[int] = set()
    acked = 0
    waiting = list(order)
    while waiting:
        size = data.draw(st.integers(1, 4))
        ready = [tag for tag in waiting if tag in tags[:taken]][:size]
        waiting = [tag for tag in waiting if tag not in ready]
        done.update(ready)
        up_to = found.settle(tuple(ready))
        if up_to is not None:
            assert up_to > acked
            assert up_to in tags
            acked = up_to
        # The acked tags are the longest prefix of the taken ones in which all are done.
        assert all(tag in done for tag in tags[:taken] if tag <= acked)
        first_open = next((tag for tag in tags[:taken] if tag not in done), None)
        assert first_open is None or first_open > acked
        assert len(found._pending) == len([tag for tag in tags[:taken] if tag > acked])
        for tag in tags[taken : taken + size]:
            found.add_delivery(tag)
        taken = min(taken + size, len(tags))
    assert acked == tags[-1]
