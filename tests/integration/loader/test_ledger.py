"""The ledger of missing ranges, and what a resync does to it."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from loader.store.chunks import ChunkStore
from schemas.report import Claim
from tests.support.world import Tables, load, message, report


def _arrive(store: ChunkStore, *serials: int) -> None:
    load(store, report(*(message(s, topic=f"t{s}") for s in serials)))


def _answer(store: ChunkStore, first: int, last: int, request: object = None) -> None:
    claim = Claim(request or uuid4(), first, last)  # type: ignore[arg-type]
    parts = [message(first, topic_type=700, topic=str(claim.request_id))]
    parts += [message(s, topic=f"t{s}") for s in range(first + 1, last + 1)]
    load(store, report(*parts, claim=claim))


def test_what_is_skipped_is_a_missing_range(store: ChunkStore, tables: Tables) -> None:
    _arrive(store, 3, 4, 8)
    assert tables.open_ranges() == [(1, 2), (5, 7)]


def test_a_late_message_cuts_its_range_and_the_pieces_keep_its_age(
    store: ChunkStore, tables: Tables
) -> None:
    _arrive(store, 10)
    (before,) = tables.rows("SELECT detected_at FROM missing_message_range")
    _arrive(store, 5)
    assert tables.open_ranges() == [(1, 4), (6, 9)]
    assert tables.rows("SELECT DISTINCT detected_at FROM missing_message_range") == [before]


def test_a_range_that_closes_before_it_was_due_leaves_no_trace(
    store: ChunkStore, tables: Tables
) -> None:
    _arrive(store, 2)
    _arrive(store, 1)
    assert tables.rows("SELECT * FROM missing_message_range") == []


def test_a_range_that_was_due_closes_as_arrived_or_resynced(
    open_store: Callable[..., ChunkStore], tables: Tables
) -> None:
    store = open_store(min_missing_age=timedelta(0))
    _arrive(store, 2)
    _arrive(store, 1)
    _arrive(store, 6)
    _answer(store, 7, 8)
    assert tables.closed_ranges() == [(1, 1, "arrived"), (3, 5, "resynced")]
    assert tables.open_ranges() == []


def test_an_answer_takes_effect_only_when_all_of_it_has_come(
    store: ChunkStore, tables: Tables
) -> None:
    _arrive(store, 5)
    claim = Claim(uuid4(), 8, 10)
    load(store, report(message(8, topic_type=700), message(9, topic="t9"), claim=claim))
    assert tables.open_ranges() == [(1, 4), (6, 7)]
    assert "t5" in tables.states()
    load(store, report(message(10, topic="t10"), claim=claim))
    assert tables.open_ranges() == []
    assert tables.states() == {"t9": (1, 9), "t10": (1, 10)}
    assert tables.client().resynced_below == 8


def test_a_claim_is_completed_by_messages_that_come_without_it(
    store: ChunkStore, tables: Tables
) -> None:
    load(store, report(message(5, topic_type=700), claim=Claim(uuid4(), 5, 6)))
    _arrive(store, 6)
    assert tables.client().resynced_below == 5


def test_an_answer_that_nobody_asked_for_gets_a_row_of_its_own(
    store: ChunkStore, tables: Tables
) -> None:
    _answer(store, 4, 5)
    assert tables.requests() == [(None, "answered", 4, 5)]


def test_two_blocks_under_one_request_id_both_count(store: ChunkStore, tables: Tables) -> None:
    request = uuid4()
    _answer(store, 4, 5, request)
    _answer(store, 9, 10, request)
    assert tables.client().resynced_below == 9
    assert [row[2:] for row in tables.requests()] == [(4, 5), (9, 10)]


def test_two_blocks_under_one_request_id_in_one_chunk_both_count(
    store: ChunkStore, tables: Tables
) -> None:
    request = uuid4()
    load(
        store,
        report(message(4, topic_type=700), claim=Claim(request, 4, 4)),
        report(message(9, topic_type=700), claim=Claim(request, 9, 9)),
    )
    assert tables.client().resynced_below == 9


def test_a_block_of_its_own_is_found_again_by_its_later_parts(
    store: ChunkStore, tables: Tables
) -> None:
    request = uuid4()
    _answer(store, 4, 5, request)
    claim = Claim(request, 9, 10)
    load(store, report(message(9, topic_type=700), claim=claim))
    load(store, report(message(10, topic="t10"), claim=claim))
    assert [row[1:] for row in tables.requests()] == [("answered", 4, 5), ("answered", 9, 10)]


def test_any_claims_of_one_client_fit_into_one_chunk(store: ChunkStore, tables: Tables) -> None:
    ids = [uuid4(), uuid4()]
    for chunk in range(3):
        first = 10 * chunk + 1
        load(
            store,
            *(
                report(message(first + n, topic_type=700), claim=Claim(one, first + n, first + n))
                for n, one in enumerate([ids[0], ids[0], ids[1], ids[1], ids[0]])
            ),
        )
    assert tables.client().resynced_below == 25
    assert len(tables.requests()) == 15


def test_too_many_ranges_become_one_that_only_a_resync_closes(
    open_store: Callable[..., ChunkStore], tables: Tables
) -> None:
    store = open_store(max_ranges=3, min_missing_age=timedelta(0))
    _arrive(store, 2, 4, 6)
    assert len(tables.open_ranges()) == 3
    _arrive(store, 8)
    assert tables.rows("SELECT first_serial, last_serial, merged FROM missing_message_range") == [
        (1, 7, True)
    ]
    accounted = tables.client().accounted
    assert all(serial in accounted for serial in range(1, 9))
    # A message of a merged range may still come; it is stored, and the merged range stays.
    _arrive(store, 3)
    assert tables.open_ranges() == [(1, 7)]
    assert tables.states()["t3"] == (1, 3)
    _answer(store, 9, 10)
    assert tables.closed_ranges() == [(1, 7, "resynced")]


def test_a_second_merge_extends_the_merged_range(
    open_store: Callable[..., ChunkStore], tables: Tables
) -> None:
    store = open_store(max_ranges=1)
    _arrive(store, 2, 4)
    _arrive(store, 6, 8)
    assert tables.rows("SELECT first_serial, last_serial, merged FROM missing_message_range") == [
        (1, 7, True)
    ]


def test_a_claim_within_a_merged_range_waits_until_its_messages_are_there(
    open_store: Callable[..., ChunkStore], tables: Tables
) -> None:
    store = open_store(max_ranges=1)
    claim = Claim(uuid4(), 5, 6)
    load(store, report(message(5, topic_type=700), claim=claim))
    _arrive(store, 9, 11)
    # `accounted` now includes 6, which has not arrived; this can mislead only a later chunk.
    _arrive(store, 12)
    assert tables.client().resynced_below == 0
    load(store, report(message(6, topic="t6"), claim=claim))
    assert tables.client().resynced_below == 5


def test_a_resync_cuts_a_merged_range_at_its_first_serial(
    open_store: Callable[..., ChunkStore], tables: Tables
) -> None:
    store = open_store(max_ranges=1)
    _arrive(store, 2, 12)
    _arrive(store, 14, 16)
    _answer(store, 5, 6)
    assert tables.open_ranges() == [(5, 15)]


def test_a_resync_uncovers_an_unnumbered_state_that_a_numbered_one_hid(
    store: ChunkStore, tables: Tables
) -> None:
    load(store, report(message(None, topic="t1", state=3)))
    load(store, report(message(1, topic="t1", state=1)))
    _answer(store, 5, 6)
    assert tables.states() == {"t1": (3, None), "t6": (1, 6)}
