"""Which clients are asked, and when: every rule, at moments that the tests choose."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest

from loader.store.chunks import ChunkStore
from loader.store.clients import ClientStore
from loader.store.resyncs import ResyncStore, UnsentRequest
from schemas.report import Claim
from schemas.resync import ResyncReason
from tests.support.waiting import wait_until
from tests.support.world import CLIENT, START, Tables, load, message, report

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
Open = Callable[..., ResyncStore]


class Clock:
    """Checks at chosen moments and sends the requests; returns what the log would show."""

    def __init__(self, store: ResyncStore, start: datetime) -> None:
        self.store = store
        self.start = start

    def asks(self, after: timedelta, **changes: Any) -> list[str]:
        values = {"limit": 100, "with_missing": True, **changes}
        due = self.store.check(now=self.start + after, **values)
        self.sends(after)
        return [one.reason.value for one in due]

    def sends(self, after: timedelta, *, held: bool = False) -> list[UnsentRequest]:
        now = self.start + after
        unsent = self.store.unsent(now=now, held=held)
        for one in unsent:
            self.store.mark(one.request, sent=True, now=now)
        self.store.commit()
        return unsent


@pytest.fixture
def clock(open_resyncs: Open) -> Clock:
    return Clock(open_resyncs(), datetime.now(UTC))


def _lose_serial_one(store: ChunkStore) -> None:
    load(store, report(message(2)))


def _answer_open_request(store: ChunkStore, tables: Tables, first: int) -> None:
    ((request,),) = tables.rows("SELECT request_id FROM resync_request WHERE closed_at IS NULL")
    load(store, report(message(first, topic_type=700), claim=Claim(request, first, first)))


def test_nobody_is_asked_about_a_missing_range_before_48_hours(
    store: ChunkStore, clock: Clock
) -> None:
    _lose_serial_one(store)
    assert clock.asks(48 * HOUR - MINUTE) == []
    assert clock.asks(48 * HOUR + MINUTE) == ["missing"]


def test_nobody_is_asked_about_missing_ranges_twice_in_72_hours(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    _lose_serial_one(store)
    assert clock.asks(49 * HOUR) == ["missing"]
    assert clock.asks(50 * HOUR) == []
    # Unanswered after 48 hours; the merge interval still applies.
    assert clock.asks((49 + 48) * HOUR) == []
    assert [row[1] for row in tables.requests()] == ["unanswered"]
    assert clock.asks((49 + 72) * HOUR - MINUTE) == []
    assert clock.asks((49 + 72) * HOUR) == ["missing"]


def test_after_three_unanswered_a_client_is_silent_until_it_is_heard_of(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    # Start in the past, since no report counts as received later than the database's now.
    past = timedelta(days=60)
    clock.start -= past
    load(store, report(message(2)), received_at=clock.start)
    tables.connection.execute(
        "UPDATE missing_message_range SET detected_at = detected_at - %s", [past]
    )
    days = timedelta(days=4)
    for time in range(3):
        assert clock.asks(49 * HOUR + time * days) == ["missing"]
    assert clock.asks(49 * HOUR + 3 * days) == []
    assert clock.asks(49 * HOUR + 30 * days) == []
    heard = clock.start + 49 * HOUR + 31 * days
    load(store, report(message(3)), received_at=heard)
    assert clock.asks(49 * HOUR + 31 * days) == ["missing"]


def test_a_request_whose_ranges_arrived_meanwhile_closes_as_arrived(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    _lose_serial_one(store)
    clock.asks(49 * HOUR)
    load(store, report(message(1)))
    assert clock.asks(50 * HOUR) == []
    assert [row[:2] for row in tables.requests()] == [("missing", "arrived")]


def test_a_request_that_was_never_sent_does_not_hold_up_the_next(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    _lose_serial_one(store)
    assert clock.asks(49 * HOUR, spread=HOUR) == ["missing"]
    load(store, report(message(1)))
    assert clock.asks(49 * HOUR, with_missing=False) == []
    assert tables.rows("SELECT closed_how, attempts FROM resync_request") == [("arrived", 0)]
    load(store, report(message(4)))
    assert clock.asks(50 * HOUR) == ["missing"]


def test_an_answer_completes_its_request_and_the_earlier_ones_but_not_later_ones(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    _lose_serial_one(store)
    first = clock.store.request(CLIENT, now=clock.start)
    second = clock.store.request(CLIENT, now=clock.start + MINUTE)
    clock.store.request(CLIENT, now=clock.start + 2 * MINUTE)
    assert first is not None
    assert second is not None
    load(store, report(message(5, topic_type=700), claim=Claim(second, 5, 5)))
    assert [row[1] for row in tables.requests()] == ["overtaken", "answered", None]


def test_an_answer_to_a_request_that_was_given_up_still_counts(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    _lose_serial_one(store)
    clock.asks(49 * HOUR)
    ((request,),) = tables.rows("SELECT request_id FROM resync_request")
    clock.asks(98 * HOUR)
    assert tables.requests()[0][1] == "unanswered"
    load(store, report(message(5, topic_type=700), claim=Claim(request, 5, 5)))
    assert tables.requests()[0][1] == "answered"
    assert tables.open_ranges() == []


def test_reused_serials_are_asked_about_at_once_with_a_doubling_wait(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    load(store, report(message(1, state=1)))
    serial, now = 10, timedelta(seconds=5)
    asked_at = []
    for state in range(2, 6):
        load(store, report(message(1, state=state)))
        tables.rows("UPDATE client SET reuse_seen_at = %s RETURNING 1", clock.start + now)
        while not clock.asks(now):
            now += SECOND * 30
        asked_at.append(now)
        _answer_open_request(store, tables, serial)
        serial += 1
        now += SECOND
    waits = [later - sooner for sooner, later in pairwise(asked_at)]
    assert all(longer > shorter for shorter, longer in pairwise(waits))
    assert waits[0] >= MINUTE


def test_the_fifth_answer_about_reused_serials_in_a_day_means_two_machines_with_one_id(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    load(store, report(message(1, state=1)))
    for time in range(5):
        now = time * HOUR
        tables.rows("UPDATE client SET reuse_seen_at = %s RETURNING 1", clock.start + now)
        assert clock.asks(now) == ["serial_reused"]
        _answer_open_request(store, tables, 10 + time)
    now = 6 * HOUR
    tables.rows("UPDATE client SET reuse_seen_at = %s RETURNING 1", clock.start + now)
    assert clock.asks(now) == []
    assert tables.rows("SELECT duplicate_identity_at IS NOT NULL FROM client") == [(True,)]
    # An operator's request clears it, and the count starts again.
    clock.store.request(CLIENT, now=clock.start + 7 * HOUR)
    assert tables.rows("SELECT duplicate_identity_at FROM client") == [(None,)]
    _answer_open_request(store, tables, 20)
    later = clock.start + 8 * HOUR
    tables.rows("UPDATE client SET reuse_seen_at = %s RETURNING 1", later)
    assert clock.asks(8 * HOUR) == ["serial_reused"]


def test_a_clock_that_was_ahead_costs_one_resync_and_is_not_taken_for_two_machines(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    """Reports that one cycle rendered a day ahead come long after a resync wrote them off."""

    def answer(serial: int, day: float) -> None:
        ((request,),) = tables.rows("SELECT request_id FROM resync_request WHERE closed_at IS NULL")
        date = START + day * timedelta(days=1)
        one = message(serial, topic_type=700)
        load(store, report(one, date=date, claim=Claim(request, serial, serial)))

    def late(serial: int) -> bool:
        """Whether the late message counts as a sign of reuse."""
        before = tables.rows("SELECT reuse_seen_at FROM client")
        load(store, report(message(serial), date=START + timedelta(days=1)))
        return tables.rows("SELECT reuse_seen_at FROM client") != before

    load(store, report(message(10)))
    clock.store.request(CLIENT, now=clock.start)
    answer(11, day=0.5)
    load(store, report(message(12), date=START + timedelta(days=2)))
    assert late(2)
    assert clock.asks(HOUR) == ["serial_reused"]
    answer(13, day=2)
    assert not any(late(serial) for serial in range(2, 9))
    assert clock.asks(2 * HOUR) == []
    assert tables.rows("SELECT duplicate_identity_at FROM client") == [(None,)]


def test_a_merged_range_is_due_at_once(open_store: Callable[..., ChunkStore], clock: Clock) -> None:
    load(open_store(max_ranges=1), report(message(2), message(4, topic="t2")))
    assert clock.asks(SECOND, with_missing=False) == ["merged"]


def test_an_unanswered_operator_request_is_made_again(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    load(store, report(message(1)))
    clock.store.request(CLIENT, now=clock.start)
    assert clock.asks(HOUR) == []
    assert clock.asks(49 * HOUR) == ["operator"]
    _answer_open_request(store, tables, 9)
    assert clock.asks(200 * HOUR) == []


def test_no_more_clients_are_asked_at_a_check_than_allowed_oldest_first(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    for number in range(5):
        client = UUID(int=number + 1, version=4)
        load(store, report(message(2), client=client))
        tables.rows(
            "UPDATE missing_message_range SET detected_at = %s WHERE client_id = %s RETURNING 1",
            START - number * HOUR,
            client,
        )
    due = clock.store.check(now=clock.start, limit=2, with_missing=True)
    assert [one.client_id.int & 0xFF for one in due] == [5, 4]


def _lose_of_each(clients: int, store: ChunkStore, tables: Tables) -> list[UUID]:
    """Load clients with one missing range each, the oldest first."""
    lost = [UUID(int=number + 1, version=4) for number in range(clients)]
    for number, client in enumerate(lost):
        load(store, report(message(2), client=client))
        tables.rows(
            "UPDATE missing_message_range SET detected_at = %s WHERE client_id = %s RETURNING 1",
            START + number * HOUR,
            client,
        )
    return lost


def test_the_requests_of_a_check_go_one_by_one_until_the_next_check(
    store: ChunkStore, clock: Clock, open_resyncs: Open, tables: Tables
) -> None:
    lost = _lose_of_each(6, store, tables)
    due = clock.store.check(now=clock.start, limit=10, with_missing=True, spread=HOUR)
    assert [one.client_id for one in due] == lost
    for slot, client in enumerate(lost, 1):
        # Any loader may send them: the moments are in the database.
        other = Clock(open_resyncs(), clock.start)
        assert [one.request.client_id for one in other.sends(slot * 10 * MINUTE)] == [client]
    # Each goes at a random moment of its ten minutes.
    moments = tables.rows("SELECT requested_at FROM resync_request")
    assert len({(moment - clock.start) % (10 * MINUTE) for (moment,) in moments}) == 6


def test_what_is_looked_for_every_minute_is_asked_within_a_minute(
    open_store: Callable[..., ChunkStore], clock: Clock
) -> None:
    load(open_store(max_ranges=1), report(message(2), message(4, topic="t2")))
    clock.store.check(now=clock.start, limit=10, with_missing=True, spread=HOUR)
    assert [one.request.reason.value for one in clock.sends(MINUTE)] == ["merged"]


def test_under_backlog_only_an_operators_request_goes_and_the_others_are_spread_anew(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    lost = _lose_of_each(3, store, tables)
    load(store, report(message(1)))
    clock.store.check(now=clock.start, limit=10, with_missing=True, spread=HOUR)
    clock.store.request(CLIENT, now=clock.start)
    later = 9 * HOUR
    assert [one.request.client_id for one in clock.sends(later, held=True)] == [CLIENT]
    clock.store.put_off(now=clock.start + later, spread=HOUR)
    assert clock.sends(later) == []
    assert clock.store.next_unsent() != clock.start + later
    assert {one.request.client_id for one in clock.sends(later + HOUR)} == set(lost)
    assert clock.store.next_unsent() is None


def test_a_request_carries_what_is_missing_when_it_is_sent(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    (client,) = _lose_of_each(1, store, tables)
    clock.store.check(now=clock.start, limit=10, with_missing=True, spread=HOUR)
    load(store, report(message(4), client=client))
    ((request, _),) = clock.sends(HOUR)
    assert request.highest_serial == 4
    assert [tuple(found) for found in request.ranges] == [(1, 1), (3, 3)]


def test_only_what_was_sent_can_be_unanswered(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    _lose_of_each(1, store, tables)
    clock.store.check(now=clock.start, limit=10, with_missing=True, spread=HOUR)
    # No loader ran for three days.
    clock.store.check(now=clock.start + 72 * HOUR, limit=10, with_missing=True)
    assert len(clock.sends(72 * HOUR)) == 1
    assert clock.asks((72 + 48) * HOUR - MINUTE) == []
    assert [row[1] for row in tables.requests()] == [None]
    # The merge interval counts from there as well.
    assert clock.asks((72 + 48) * HOUR) == []
    assert [row[1] for row in tables.requests()] == ["unanswered"]
    assert clock.asks((72 + 72) * HOUR - MINUTE) == []
    assert clock.asks((72 + 72) * HOUR) == ["missing"]


def test_a_request_is_not_given_up_while_parts_of_its_answer_come(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    load(store, report(message(1)))
    request = clock.store.request(CLIENT, now=clock.start - 49 * HOUR)
    assert request is not None
    clock.sends(-49 * HOUR)
    load(store, report(message(2, topic_type=700), claim=Claim(request, 2, 3)))
    assert clock.asks(HOUR) == []
    assert clock.asks(47 * HOUR) == []
    assert [row[1] for row in tables.requests()] == [None]
    # By now no part has come for 48 hours.
    assert clock.asks(49 * HOUR) == ["operator"]
    assert [row[1] for row in tables.requests()] == ["unanswered", None]


def test_a_request_is_given_up_whatever_else_of_its_client_comes(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    load(store, report(message(1)))
    clock.store.request(CLIENT, now=clock.start - 49 * HOUR)
    clock.sends(-49 * HOUR)
    load(store, report(message(2)), report(message(3), claim=Claim(uuid4(), 3, 4)))
    assert clock.asks(HOUR) == ["operator"]
    assert [row[1] for row in tables.requests()][:2] == ["unanswered", None]


def test_a_preview_changes_nothing(store: ChunkStore, clock: Clock, tables: Tables) -> None:
    _lose_serial_one(store)
    later = clock.start + 49 * HOUR
    assert [d.reason for d in clock.store.preview(now=later, limit=9)] == [ResyncReason.MISSING]
    assert tables.requests() == []


def test_only_one_check_runs_at_a_time(
    open_resyncs: Open, store: ChunkStore, tables: Tables
) -> None:
    _lose_serial_one(store)
    with tables.connection.transaction():
        tables.rows("SELECT pg_advisory_xact_lock(7828379702)")
        later = datetime.now(UTC) + 49 * HOUR
        assert open_resyncs().check(now=later, limit=9, with_missing=True) == []
    assert len(open_resyncs().check(now=later, limit=9, with_missing=True)) == 1


def test_one_process_of_many_gets_the_turn_of_an_interval(
    open_resyncs: Open, store: ChunkStore, tables: Tables
) -> None:
    _lose_serial_one(store)
    start = datetime.now(UTC) + 49 * HOUR

    def asks(now: datetime) -> int:
        due = open_resyncs(merge=timedelta(0)).check_if_due(
            now=now, limit=9, check_interval=HOUR, urgent_interval=MINUTE
        )
        tables.rows("DELETE FROM resync_request RETURNING 1")
        return len(due)

    assert [asks(start), asks(start + MINUTE), asks(start + HOUR)] == [1, 0, 1]
    # The database's clock was a year ahead, and is then corrected.
    assert [asks(start + 8760 * HOUR), asks(start + 2 * HOUR), asks(start + 2 * HOUR)] == [1, 1, 0]


def test_a_check_that_fails_leaves_the_turn_to_the_next(
    open_resyncs: Open, store: ChunkStore, tables: Tables
) -> None:
    _lose_serial_one(store)
    later = datetime.now(UTC) + 49 * HOUR

    def asks() -> int:
        return len(
            open_resyncs().check_if_due(
                now=later, limit=9, check_interval=HOUR, urgent_interval=MINUTE
            )
        )

    with tables.connection.transaction():
        tables.rows("SELECT pg_advisory_xact_lock(7828379702)")
        assert asks() == 0
    assert asks() == 1


def test_an_open_request_whose_sign_a_late_answer_cleared_closes_as_arrived(
    store: ChunkStore, clock: Clock, tables: Tables
) -> None:
    load(store, report(message(1, state=1)))
    load(store, report(message(1, state=2)))
    assert clock.asks(HOUR) == ["serial_reused"]
    ((first,),) = tables.rows("SELECT request_id FROM resync_request")
    assert clock.asks(50 * HOUR) == ["serial_reused"]
    load(store, report(message(9, topic_type=700), claim=Claim(first, 9, 9)))
    assert clock.asks(51 * HOUR) == []
    assert [row[1] for row in tables.requests()] == ["answered", "arrived"]


def test_forgetting_waits_for_a_chunk_and_sees_what_it_brought(
    store: ChunkStore, clients: ClientStore, tables: Tables
) -> None:
    load(store, report(message(1)))
    forgotten = []
    with tables.connection.transaction():
        tables.rows("SELECT FROM client FOR UPDATE")
        thread = Thread(target=lambda: forgotten.append(clients.forget(CLIENT)))
        thread.start()
        wait_until(
            lambda: tables.rows("SELECT FROM pg_locks WHERE NOT granted") != [],
            timeout=60,
            what="forget waits for the client's lock",
        )
        tables.connection.execute(
            "INSERT INTO missing_message_range (client_id, first_serial, last_serial, detected_at)"
            " VALUES (%s, 5, 6, now())",
            [CLIENT],
        )
    thread.join(60)
    assert [(removed.clients, removed.ranges) for removed in forgotten] == [(1, 1)]
    assert tables.open_ranges() == []


def test_a_request_that_another_loader_is_sending_is_not_sent_twice(
    open_resyncs: Open, store: ChunkStore, tables: Tables
) -> None:
    _lose_serial_one(store)
    one, other = open_resyncs(), open_resyncs()
    one.request(CLIENT, now=datetime.now(UTC))
    now = datetime.now(UTC) + SECOND
    (unsent,) = one.unsent(now=now)
    assert other.unsent(now=now) == []
    assert unsent.request.highest_serial == 2
    assert [tuple(r) for r in unsent.request.ranges] == [(1, 1)]
    one.mark(unsent.request, sent=True, now=now)
    one.commit()
    other.commit()
    assert other.unsent(now=now) == []
    assert tables.rows("SELECT attempts FROM resync_request") == [(1,)]


def test_asking_or_forgetting_an_unknown_client_says_so(
    open_resyncs: Open, clients: ClientStore
) -> None:
    assert open_resyncs().request(uuid4(), now=START) is None
    assert not any(clients.forget(uuid4()))


def test_a_forgotten_client_starts_anew(
    store: ChunkStore, clients: ClientStore, tables: Tables
) -> None:
    load(store, report(message(2**63 - 2)))
    assert clients.forget(CLIENT).clients == 1
    load(store, report(message(1, state=2)))
    assert tables.open_ranges() == []
    assert tables.states() == {"t1": (2, 1)}
