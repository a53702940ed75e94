"""How a message is judged: new, late, duplicate, reused; and which state is current."""

from datetime import datetime, timedelta
from uuid import uuid4

from loader.store.chunks import ChunkStore, Loaded
from schemas.report import Claim
from tests.support.world import CLIENT, START, Tables, load, message, report


def test_a_new_message_is_stored_and_becomes_current(store: ChunkStore, tables: Tables) -> None:
    assert load(store, report(message(1, state=2))) == Loaded(1, 0, 0, 0)
    assert tables.states() == {"t1": (2, 1)}
    assert tables.client().highest_serial == 1


def test_the_same_message_again_is_a_duplicate_and_only_counted(
    store: ChunkStore, tables: Tables
) -> None:
    one = report(message(1))
    load(store, one)
    assert load(store, one) == Loaded(0, 0, 0, 1)
    assert tables.client().duplicates == 1
    assert tables.rows("SELECT count(*) FROM state_message") == [(1,)]


def test_the_same_message_twice_in_a_chunk_is_one_message(
    store: ChunkStore, tables: Tables
) -> None:
    one = report(message(1))
    assert load(store, one, one, one) == Loaded(1, 0, 0, 2)
    assert tables.client().duplicates == 2


def test_another_message_under_a_used_serial_is_kept_marked_and_touches_nothing(
    store: ChunkStore, tables: Tables
) -> None:
    load(store, report(message(1, state=1), message(2, topic="t2")))
    assert load(store, report(message(1, state=3))) == Loaded(0, 0, 1, 0)
    assert tables.states()["t1"] == (1, 1)
    assert tables.client().reuse_seen
    assert tables.rows("SELECT state_id FROM state_message WHERE reused") == [(3,)]
    # The same message again: it is in the history now.
    assert load(store, report(message(1, state=3))) == Loaded(0, 0, 0, 1)


def test_two_different_messages_under_one_serial_in_a_chunk_are_one_new_and_one_reused(
    store: ChunkStore, tables: Tables
) -> None:
    rivals = [report(message(1, state=state)) for state in (1, 2)]
    assert load(store, *rivals) == Loaded(1, 0, 1, 0)
    assert tables.client().reused == 1


def test_the_serial_orders_the_states_not_the_clock(store: ChunkStore, tables: Tables) -> None:
    load(store, report(message(2, state=2, minute=0)))
    load(store, report(message(1, state=1, minute=500)))
    assert tables.states() == {"t1": (2, 2)}
    assert tables.rows("SELECT superseded FROM client") == [(1,)]


def test_messages_without_serial_are_kept_once_and_take_no_part_in_counting(
    store: ChunkStore, tables: Tables
) -> None:
    one = report(message(None, topic_type=902, serial_text="77", topic="dp"))
    assert load(store, one) == Loaded(1, 0, 0, 0)
    assert load(store, one) == Loaded(0, 0, 0, 1)
    assert tables.client().highest_serial == 0
    assert tables.states() == {"dp": (1, None)}
    assert tables.rows("SELECT serial, serial_text FROM state_message") == [(None, "77")]


def test_heartbeats_and_resync_markers_are_history_but_no_state(
    store: ChunkStore, tables: Tables
) -> None:
    load(store, report(message(1, topic_type=701), message(2, topic_type=700)))
    assert tables.client().highest_serial == 2
    assert tables.states() == {}


def test_low_serials_in_a_report_rendered_later_are_a_sign_of_reuse(
    store: ChunkStore, tables: Tables
) -> None:
    load(store, report(message(10), date=START))
    load(store, report(message(3), date=START + timedelta(minutes=4)))
    assert not tables.client().reuse_seen
    load(store, report(message(4), date=START + timedelta(minutes=6)))
    assert tables.client().reuse_seen


def test_the_sign_of_reuse_is_seen_within_one_chunk_too(store: ChunkStore, tables: Tables) -> None:
    load(store, report(message(1), date=START + timedelta(hours=1)), report(message(10)))
    assert tables.client().reuse_seen


def test_a_message_overtaken_by_a_resync_is_late_and_touches_no_state(
    store: ChunkStore, tables: Tables
) -> None:
    claim = Claim(uuid4(), 5, 6)
    load(store, report(message(5, topic_type=700), message(6, topic="t2"), claim=claim))
    assert load(store, report(message(2, topic="t1"))) == Loaded(0, 1, 0, 0)
    assert tables.states() == {"t2": (1, 6)}


def test_name_version_and_reply_queue_are_those_of_the_report_received_last(
    store: ChunkStore, tables: Tables
) -> None:
    newer = report(message(2))._replace(client_name="NEW", client_version="6")
    older = report(message(1))._replace(client_name="OLD", client_version="5")
    later = START + timedelta(hours=1)
    load(store, newer, received_at=later, reply_to="statesys.resync.0123abcd")
    load(store, older, received_at=START, reply_to="statesys.resync.ffffffff")
    assert tables.rows("SELECT name, version, reply_queue, last_seen FROM client") == [
        ("NEW", "6", "statesys.resync.0123abcd", later)
    ]


def test_a_reply_queue_of_another_form_is_not_honoured(store: ChunkStore, tables: Tables) -> None:
    load(store, report(message(1)), reply_to="amq.rabbitmq.log")
    assert tables.rows("SELECT reply_queue FROM client") == [(None,)]


def test_the_largest_serial_there_is_can_be_loaded(store: ChunkStore, tables: Tables) -> None:
    load(store, report(message(2**63 - 2)))
    assert tables.open_ranges(CLIENT) == [(1, 2**63 - 3)]


def _answered(store: ChunkStore, *, at: datetime) -> None:
    """Load an answer with serial 100, rendered at `at`."""
    answer = report(message(100, topic_type=700), date=at, claim=Claim(uuid4(), 100, 100))
    load(store, answer)


def test_a_second_machine_that_counts_below_a_resync_is_a_sign_of_reuse(
    store: ChunkStore, tables: Tables
) -> None:
    """Two machines with one id report alternately, and never use the same serial."""
    _answered(store, at=START)
    for serial in range(1, 11):
        now = START + serial * timedelta(minutes=15)
        load(store, report(message(100 + serial, topic_type=701), date=now))
        load(store, report(message(serial, state=serial), date=now))
        assert tables.client().reuse_seen
    assert tables.states() == {}


def test_what_was_rendered_before_a_resync_and_comes_a_week_late_is_no_sign_of_reuse(
    store: ChunkStore, tables: Tables
) -> None:
    _answered(store, at=START)
    late = report(message(50, state=2), date=START - timedelta(minutes=10))
    assert load(store, late, received_at=START + timedelta(days=7)) == Loaded(0, 1, 0, 0)
    assert not tables.client().reuse_seen


def test_the_tolerance_of_dates_holds_for_what_a_resync_wrote_off_too(
    store: ChunkStore, tables: Tables
) -> None:
    _answered(store, at=START)
    later = START + timedelta(hours=1)
    load(store, report(message(101, topic_type=701), date=later))
    for serial, minutes, seen in ((1, 4, False), (2, 6, True)):
        date = START + timedelta(minutes=minutes)
        load(store, report(message(serial), date=date))
        assert tables.client().reuse_seen == seen
