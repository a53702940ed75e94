"""The promise as a pure function."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.verify.comparison import ByClient, ClientResult, Place, Received, Row, Sent, State, compare
from schemas.report import HEARTBEAT_TOPIC
from schemas.serials import SerialRanges
from tests.support.serials import numbers, ranges_of

CLIENT = UUID("aa9c5f9f-24c2-4b2a-8c4e-0a1b2c3d4e5f")
NOTHING = SerialRanges()
TOPIC = (301, "assignment", "")


def digest(serial: int) -> bytes:
    return serial.to_bytes(16, "big")


def sent(last: int, *, outbox: SerialRanges = NOTHING, **changes: object) -> Sent:
    values = {
        "client_id": CLIENT,
        "last_serial": last,
        "last_serial_now": last,
        "messages": {s: digest(s) for s in range(1, last + 1)},
        "outbox": outbox,
        "states": {},
        **changes,
    }
    return Sent(**values)  # type: ignore[arg-type]


def received(serials: SerialRanges, highest: int, *, resynced_below: int = 0) -> Received:
    """What the loader has stored when these serials arrived."""
    below = SerialRanges([(1, resynced_below - 1)]) if resynced_below > 1 else NOTHING
    accounted = SerialRanges([*serials, *below])
    return Received(
        resynced_below=resynced_below,
        accounted=accounted,
        missing=ranges_of(set(range(1, highest + 1)) - numbers(accounted)),
        rows=[Row(s, digest(s)) for r in serials for s in range(r.first, r.last + 1)],
    )


def places(result: ClientResult) -> dict[Place, int]:
    return dict(result.places)


def test_what_arrived_is_loaded() -> None:
    result = compare(sent(3), received(SerialRanges([(1, 3)]), 3), NOTHING)
    assert result.client_id == CLIENT
    assert result.holds
    assert places(result) == {Place.LOADED: 3}


def test_a_hole_is_missing_and_the_promise_holds() -> None:
    result = compare(sent(3), received(SerialRanges([(1, 1), (3, 3)]), 3), NOTHING)
    assert result.holds
    assert places(result) == {Place.LOADED: 2, Place.MISSING: 1}


def test_what_is_lost_at_the_end_is_unaccounted_for() -> None:
    result = compare(sent(3), received(SerialRanges([(1, 2)]), 2), NOTHING)
    assert not result.holds
    assert result.unaccounted == (3,)


def test_a_client_nobody_heard_of_has_everything_unaccounted_for() -> None:
    assert compare(sent(2), Received(), NOTHING).unaccounted == (1, 2)


@pytest.mark.parametrize(
    ("dead", "outbox", "place"),
    [
        (SerialRanges([(3, 3)]), NOTHING, Place.DEAD),
        (NOTHING, SerialRanges([(3, 3)]), Place.OUTBOX),
        (SerialRanges([(3, 3)]), SerialRanges([(3, 3)]), Place.DEAD),
    ],
)
def test_dead_letters_and_the_outbox_are_places(
    dead: SerialRanges, outbox: SerialRanges, place: Place
) -> None:
    result = compare(sent(3, outbox=outbox), received(SerialRanges([(1, 2)]), 2), dead)
    assert result.holds
    assert places(result) == {Place.LOADED: 2, place: 1}


def test_a_completed_resync_overtakes_what_never_arrived() -> None:
    ledger = received(SerialRanges([(1, 1), (4, 5)]), 5, resynced_below=4)
    result = compare(sent(5), ledger, NOTHING)
    assert result.holds
    assert places(result) == {Place.LOADED: 3, Place.OVERTAKEN: 2}


def test_a_resync_does_not_overtake_its_own_first_serial() -> None:
    ledger = Received(resynced_below=2, accounted=SerialRanges([(1, 2)]))
    result = compare(sent(2), ledger, NOTHING)
    assert places(result) == {Place.OVERTAKEN: 1, Place.UNACCOUNTED: 1}
    assert result.unaccounted == (2,)


def test_what_was_destroyed_on_purpose_is_a_place_if_nothing_can_reveal_it() -> None:
    lost = frozenset({Row(1, digest(1))})
    another = Received(accounted=SerialRanges([(1, 1)]), rows=[Row(1, b"of a later life")])
    for own, theirs, place in (
        (sent(1, destroyed=lost), another, Place.DESTROYED),
        (sent(1, destroyed=lost, bygone=lost), Received(), Place.DESTROYED),
        (sent(1, destroyed=lost), Received(), Place.UNACCOUNTED),
    ):
        result = compare(own, theirs, NOTHING)
        assert places(result) == {place: 1}
        assert result.holds == (place is Place.DESTROYED)


def test_accounted_for_without_row_or_resync_is_no_place() -> None:
    """A loader that accounts for a serial before it stores the row would cause this."""
    ledger = Received(accounted=SerialRanges([(1, 2)]), rows=[Row(1, digest(1))])
    assert compare(sent(2), ledger, NOTHING).unaccounted == (2,)


def test_another_digest_is_altered() -> None:
    ledger = Received(accounted=SerialRanges([(1, 1)]), rows=[Row(1, b"other")])
    result = compare(sent(1), ledger, NOTHING)
    assert result.altered == (1,)
    assert not result.holds


def test_a_serial_used_twice_is_loaded_when_one_row_is_the_clients_own() -> None:
    rows = [Row(1, b"from a former life"), Row(1, digest(1), reused=True)]
    ledger = Received(accounted=SerialRanges([(1, 1)]), rows=rows)
    result = compare(sent(1), ledger, NOTHING)
    assert result.holds
    assert result.reused_rows == 1


def test_a_row_above_the_last_serial_was_never_sent() -> None:
    result = compare(sent(1), received(SerialRanges([(1, 2)]), 2), NOTHING)
    assert result.never_sent == (2,)
    assert not result.holds


def test_what_a_running_fleet_sent_meanwhile_is_not_compared() -> None:
    own = sent(1, last_serial_now=2, states={TOPIC: State(digest(1), 1)})
    ledger = received(SerialRanges([(1, 2)]), 2)
    ledger = Received(**{**vars(ledger), "states": {TOPIC: State(digest(2), 2)}})
    assert compare(own, ledger, NOTHING).holds


def test_serials_that_were_never_numbered_need_no_place() -> None:
    """A resync moved the counter from 1 to 9."""
    own = sent(10, messages={1: digest(1), 10: digest(10)})
    ledger = received(SerialRanges([(1, 10)]), 10)
    result = compare(own, ledger, NOTHING)
    assert result.holds
    assert places(result) == {Place.LOADED: 2}


def test_a_counter_near_its_end_costs_nothing() -> None:
    last = 2**62
    own = sent(0, last_serial=last, last_serial_now=last, messages={last: digest(last)})
    ledger = Received(accounted=SerialRanges([(1, last)]))
    assert compare(own, ledger, NOTHING).unaccounted == (last,)


class TestStates:
    """The current states."""

    def result(
        self, own: State, theirs: State | None, *, arrived: SerialRanges | None = None
    ) -> ClientResult:
        ledger = received(SerialRanges([(1, 2)]) if arrived is None else arrived, 2)
        states = {} if theirs is None else {TOPIC: theirs}
        ledger = Received(**{**vars(ledger), "states": states})
        return compare(sent(2, states={TOPIC: own}), ledger, NOTHING)

    def test_the_same_digest_is_equal(self) -> None:
        found = self.result(State(digest(2), 2), State(digest(2), 2))
        assert found.holds
        assert found.equal_states == 1

    def test_every_topic_is_compared_also_behind_one_that_is_not(self) -> None:
        own = {
            (HEARTBEAT_TOPIC, "heartbeat", ""): State(digest(1), 1),
            TOPIC: State(digest(1), 1),
            (301, "another", ""): State(digest(2), 2),
            (301, "a third", ""): State(digest(2), 2),
        }
        theirs = {TOPIC: State(digest(1), 1), (301, "another", ""): State(digest(2), 2)}
        ledger = Received(**{**vars(received(SerialRanges([(1, 2)]), 2)), "states": theirs})
        found = compare(sent(2, states=own), ledger, NOTHING)
        assert found.equal_states == 2
        assert found.differing == ((301, "a third", ""),)

    def test_a_topic_that_a_running_fleet_told_of_meanwhile_is_not_compared(self) -> None:
        ledger = received(SerialRanges([(1, 2)]), 2)
        ledger = Received(**{**vars(ledger), "states": {TOPIC: State(digest(2), 2)}})
        assert compare(sent(1, last_serial_now=2), ledger, NOTHING).holds
        assert compare(sent(1), ledger, NOTHING).differing == (TOPIC,)

    @pytest.mark.parametrize("arrived", [SerialRanges([(1, 2)]), SerialRanges([(2, 2)])])
    @pytest.mark.parametrize(
        ("of_client", "of_server", "why"),
        [
            ({}, {"duplicate_identity": True}, "two machines share this id"),
            (
                {"hidden": True},
                {},
                "its store was rolled back, and what would have told so was destroyed",
            ),
        ],
    )
    def test_states_that_cannot_agree_are_exempt(
        self,
        arrived: SerialRanges,
        of_client: dict[str, object],
        of_server: dict[str, object],
        why: str,
    ) -> None:
        """Whether they differ, or wait for a message that is missing."""
        own = sent(2, states={TOPIC: State(digest(1), 1)}, **of_client)  # type: ignore[arg-type]
        found = compare(own, Received(**{**vars(received(arrived, 2)), **of_server}), NOTHING)
        assert (found.exempt, found.differing, found.behind) == (why, (), ())
        assert found.holds

    def test_a_hidden_store_whose_states_agree_needs_no_exemption(self) -> None:
        own = sent(1, hidden=True, states={TOPIC: State(digest(1), 1)})
        ledger = received(SerialRanges([(1, 1)]), 1)
        ledger = Received(**{**vars(ledger), "states": {TOPIC: State(digest(1), 1)}})
        assert compare(own, ledger, NOTHING).exempt == ""

    def test_another_digest_differs(self) -> None:
        found = self.result(State(digest(2), 2), State(digest(1), 1))
        assert found.differing == (TOPIC,)
        assert not found.holds

    def test_a_state_the_server_does_not_have_differs(self) -> None:
        assert self.result(State(digest(2), 2), None).differing == (TOPIC,)

    def test_a_state_waits_for_a_message_that_is_missing(self) -> None:
        found = self.result(State(digest(1), 1), None, arrived=SerialRanges([(2, 2)]))
        assert found.behind == (TOPIC,)
        assert not found.differing
        assert not found.holds

    def test_a_state_that_was_not_sent_is_not_compared(self) -> None:
        assert self.result(State(None, None), State(digest(1), 1)).holds

    def test_a_state_the_client_does_not_know_differs(self) -> None:
        ledger = Received(states={(1, "what", ""): State(digest(1), 1)})
        assert compare(sent(0), ledger, NOTHING).differing == ((1, "what", ""),)

    def test_heartbeats_are_no_state(self) -> None:
        own = sent(1, states={(HEARTBEAT_TOPIC, "heartbeat", ""): State(digest(1), 1)})
        assert compare(own, received(SerialRanges([(1, 1)]), 1), NOTHING).holds


serial_sets = st.sets(st.integers(1, 40)).map(ranges_of)


@given(st.integers(0, 40), serial_sets, serial_sets, serial_sets, st.integers(0, 40))
def test_every_message_has_exactly_one_place(
    last: int, arrived: SerialRanges, dead: SerialRanges, outbox: SerialRanges, below: int
) -> None:
    arrived = ranges_of(numbers(arrived) & set(range(1, last + 1)))
    highest = max((r.last for r in arrived), default=0)
    ledger = received(arrived, highest, resynced_below=min(below, highest))
    result = compare(sent(last, outbox=outbox), ledger, dead)
    assert sum(result.places.values()) == last
    assert result.places.get(Place.LOADED, 0) == len(numbers(arrived))
    # The server knows every serial up to the highest: only those above can be unaccounted for.
    end = set(range(highest + 1, last + 1))
    assert set(result.unaccounted) == end - numbers(dead) - numbers(outbox)
    assert result.holds == (not result.unaccounted)


@given(st.integers(1, 40), st.data())
def test_no_single_change_of_a_row_goes_unnoticed(last: int, data: st.DataObject) -> None:
    ledger = received(SerialRanges([(1, last)]), last)
    at = data.draw(st.integers(0, last - 1))
    rows = list(ledger.rows)
    changed = data.draw(st.sampled_from(["lost", "altered", "invented"]))
    if changed == "lost":
        del rows[at]
    elif changed == "altered":
        rows[at] = rows[at]._replace(digest=data.draw(st.binary(min_size=1, max_size=8)))
    else:
        rows.append(Row(last + 1 + at, digest(at)))
    assert not compare(sent(last), Received(**{**vars(ledger), "rows": rows}), NOTHING).holds


@given(st.lists(st.tuples(st.integers(0, 9), st.integers())), st.sets(st.integers(0, 9)))
def test_rows_are_taken_client_by_client(rows: list[tuple[int, int]], asked: set[int]) -> None:
    """Those of clients that nobody asks for are skipped."""
    rows.sort()
    stream = ByClient(rows, lambda row: UUID(int=row[0]))
    for client in sorted(asked):
        assert list(stream.take(UUID(int=client))) == [row for row in rows if row[0] == client]
