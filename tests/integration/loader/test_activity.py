"""What each client and each topic sent, hour by hour, is what was sent."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from loader.activity import TOPICS_WRITTEN, ActivityTask, TopicCounts, until_next_hour
from loader.store.activity import TOPICS_KEPT, ActivityStore
from loader.store.chunks import ChunkStore
from loader.store.clients import ClientStore
from schemas.errors import DatabaseUnavailable
from tests.support.processes import Program, batch, drain, fill
from tests.support.waiting import wait_until
from tests.support.world import CLIENT, Tables, load, message, report

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOON = datetime(2026, 3, 2, 12, 0, 3, tzinfo=UTC)
OTHER = UUID("22222222-2222-4222-8222-222222222222")
SINCE = (
    "SELECT client_id, sent_since(c.messages, a.snapshot, a.totals, %s) FROM client c "
    "LEFT JOIN client_activity a USING (client_id) ORDER BY 1"
)


def sent(tables: Tables, since: int) -> dict[UUID, int]:
    """What each client sent since a snapshot."""
    return dict(tables.rows(SINCE, since))


def newest(tables: Tables) -> int:
    ((number,),) = tables.rows("SELECT max(number) FROM activity_snapshot")
    assert isinstance(number, int)
    return number


def numbers(tables: Tables, client_id: UUID = CLIENT) -> int:
    ((messages,),) = tables.rows("SELECT messages FROM client WHERE client_id = %s", client_id)
    assert isinstance(messages, int)
    return messages


def say(store: ChunkStore, *serials: int, client: UUID = CLIENT, copies: int = 1) -> None:
    """Load a report as often as it was sent, all in one chunk."""
    one = report(*map(message, serials), client=client)
    load(store, *([one] * copies))


# -- clients ---------------------------------------------------------------------------------


def test_every_message_that_arrives_counts_copies_too(store: ChunkStore, tables: Tables) -> None:
    say(store, 1, 2, copies=3)
    say(store, 1, 2)
    load(store, report(message(2, state=7)), report(message(None, topic_type=500)))
    assert numbers(tables) == 3 * 2 + 2 + 2


def test_snapshots_tell_what_came_between_any_two_of_them(
    store: ChunkStore, activity: ActivityStore, tables: Tables
) -> None:
    """Two clients for 40 hours: one sends a number of its own each hour, one is mostly quiet."""
    truth: dict[UUID, list[int]] = {CLIENT: [], OTHER: []}
    snapshots = [0]
    serial = 1
    for hour in range(40):
        if hour:
            say(store, *range(serial, serial + hour))
        serial += hour
        if hour in (3, 38):
            say(store, *range(hour * 100, hour * 100 + 5), client=OTHER)
        truth[CLIENT].append(hour)
        truth[OTHER].append(5 if hour in (3, 38) else 0)
        for number in snapshots[-25:]:
            at = snapshots.index(number)
            expected = {client: sum(counts[at:]) for client, counts in truth.items()}
            found = sent(tables, number)
            assert {c: n for c, n in expected.items() if n} == {c: n for c, n in found.items() if n}
        assert activity.take_snapshot(now=NOON + hour * HOUR) is not None
        snapshots.append(newest(tables))
    assert tables.rows("SELECT count(*) FROM activity_snapshot") == [(25,)]
    assert tables.rows("SELECT max(cardinality(totals)) FROM client_activity") == [(25,)]


def test_a_snapshot_writes_only_clients_that_sent_something(
    store: ChunkStore, activity: ActivityStore
) -> None:
    say(store, 1)
    say(store, 1, client=OTHER)
    assert activity.take_snapshot(now=NOON) == 2
    say(store, 2)
    assert activity.take_snapshot(now=NOON + HOUR) == 1
    assert activity.take_snapshot(now=NOON + 2 * HOUR) == 0


def test_a_counter_may_pass_two_to_the_31(
    store: ChunkStore, activity: ActivityStore, tables: Tables
) -> None:
    say(store, 1)
    tables.rows("UPDATE client SET messages = 2147483646 RETURNING 1")
    activity.take_snapshot(now=NOON)
    say(store, 2, 3, 4, 5)
    assert sent(tables, newest(tables)) == {CLIENT: 4}
    activity.take_snapshot(now=NOON + HOUR)
    say(store, 6)
    assert sent(tables, newest(tables)) == {CLIENT: 1}
    assert sent(tables, newest(tables) - 1) == {CLIENT: 5}


def test_one_loader_takes_a_snapshot_in_an_hour(activity: ActivityStore) -> None:
    assert activity.take_snapshot(now=NOON) == 0
    assert activity.take_snapshot(now=NOON + 30 * MINUTE) is None
    assert activity.take_snapshot(now=NOON + 59 * MINUTE) is None
    # The first of the hour may have started late in it.
    assert activity.take_snapshot(now=NOON + HOUR) == 0


def test_a_loader_does_not_wait_for_another_one_s_snapshot(
    activity: ActivityStore, database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(7828379705)")
        assert activity.take_snapshot(now=NOON) is None
    assert activity.take_snapshot(now=NOON) == 0


def test_after_a_clock_was_set_back_no_snapshot_lies_ahead(
    store: ChunkStore, activity: ActivityStore, tables: Tables
) -> None:
    say(store, 1)
    activity.take_snapshot(now=NOON + 5 * HOUR)
    say(store, 2, 3)
    assert activity.take_snapshot(now=NOON) == 1
    ahead = "SELECT count(*) FROM activity_snapshot WHERE taken_at > %s"
    assert tables.rows(ahead, NOON) == [(0,)]
    # Snapshots go on from hour to hour, and the counts are as they were.
    assert activity.take_snapshot(now=NOON + HOUR) == 0
    assert sent(tables, newest(tables) - 2) == {CLIENT: 2}


def test_a_client_that_was_forgotten_counts_anew(
    store: ChunkStore, activity: ActivityStore, clients: ClientStore, tables: Tables
) -> None:
    say(store, 1, 2, 3)
    activity.take_snapshot(now=NOON)
    clients.forget(CLIENT)
    assert tables.rows("SELECT * FROM client_activity") == []
    say(store, 1)
    assert sent(tables, newest(tables)) == {CLIENT: 1}


def test_forgetting_waits_for_a_snapshot(
    store: ChunkStore, clients: ClientStore, tables: Tables
) -> None:
    say(store, 1)
    with tables.connection.transaction():
        tables.rows("SELECT pg_advisory_xact_lock(7828379705)")
        thread = threading.Thread(target=clients.forget, args=[CLIENT])
        thread.start()
        wait_until(
            lambda: tables.rows("SELECT FROM pg_locks WHERE NOT granted") != [],
            what="forget waits for the snapshot",
        )
        # What a snapshot that is under way writes last.
        tables.rows("INSERT INTO client_activity VALUES (%s, 1, '{1}') RETURNING 1", CLIENT)
    thread.join(60)
    assert tables.rows("SELECT * FROM client_activity") == []


# -- topics ----------------------------------------------------------------------------------


def topics(tables: Tables) -> dict[tuple[datetime, int], int]:
    found = tables.rows("SELECT hour, topic_type, messages FROM topic_activity")
    return {(hour, topic_type): messages for hour, topic_type, messages in found}


def test_counts_by_topic_add_up_in_their_hour(activity: ActivityStore, tables: Tables) -> None:
    mark = NOON.replace(second=0)
    activity.add_topics({500: 3, 301: 1}, now=NOON)
    activity.add_topics({500: 4}, now=NOON + 59 * MINUTE)
    activity.add_topics({500: 5}, now=NOON + HOUR)
    assert topics(tables) == {(mark, 500): 7, (mark, 301): 1, (mark + HOUR, 500): 5}


def test_counts_by_topic_are_kept_for_eight_days(activity: ActivityStore, tables: Tables) -> None:
    activity.add_topics({500: 1}, now=NOON)
    activity.add_topics({500: 2}, now=NOON + TOPICS_KEPT - MINUTE)
    assert len(topics(tables)) == 2
    activity.add_topics({500: 4}, now=NOON + TOPICS_KEPT + MINUTE)
    assert sorted(topics(tables).values()) == [2, 4]


def test_hours_that_a_clock_which_was_set_back_has_not_reached_count_in_the_running_one(
    activity: ActivityStore, tables: Tables
) -> None:
    activity.add_topics({500: 3, 301: 2}, now=NOON + 5 * HOUR)
    activity.add_topics({500: 1}, now=NOON)
    mark = NOON.replace(second=0)
    assert topics(tables) == {(mark, 500): 4, (mark, 301): 2}


def test_what_could_not_be_written_is_written_later(tables: Tables, database_url: str) -> None:
    counts = TopicCounts()
    counts.add({500: 2})

    class Unwell(ActivityStore):
        def add_topics(self, *_: object, **__: object) -> None:
            counts.add({500: 1})
            raise DatabaseUnavailable("away")

    with pytest.raises(DatabaseUnavailable):
        ActivityTask(lambda: Unwell(database_url), counts).run()
    assert topics(tables) == {}
    ActivityTask(lambda: ActivityStore(database_url), counts).end()
    assert list(topics(tables).values()) == [3]


@pytest.mark.parametrize(
    ("at", "wait"),
    [(NOON, 57), (NOON + 59 * MINUTE, 57), (NOON.replace(minute=59, second=50), 10)],
)
def test_a_loader_looks_again_when_the_hour_is_full(at: datetime, wait: int) -> None:
    left = min(until_next_hour(at), TOPICS_WRITTEN)
    assert left in (timedelta(seconds=wait), TOPICS_WRITTEN)
    assert at + until_next_hour(at) == at.replace(minute=0, second=0) + HOUR


# -- loaders ---------------------------------------------------------------------------------


@pytest.fixture
def filled(amqp_url: str) -> dict[tuple[UUID, int], int]:
    """Batches of which some come twice; returns how often each client sent each topic type."""
    truth: dict[tuple[UUID, int], int] = {}
    bodies = []
    for number in range(30):
        client, topic_type = UUID(int=number % 3 + 1, version=4), (500, 301, 402)[number % 2]
        one = report(
            *(message(10 * number + n, topic_type=topic_type) for n in range(1, 5)), client=client
        )
        body = batch(one, one) if number % 5 == 0 else batch(one)
        times = 1 + (number % 7 == 0)
        bodies += [body] * times
        counted = 4 * times * (2 if number % 5 == 0 else 1)
        truth[client, topic_type] = truth.get((client, topic_type), 0) + counted
    fill(amqp_url, bodies)
    return truth


def test_a_loader_that_ends_has_counted_all_that_it_loaded(
    amqp_url: str, database_url: str, tables: Tables, filled: dict[tuple[UUID, int], int]
) -> None:
    drain(amqp_url, database_url)
    assert_counted(tables, filled)


@pytest.mark.timeout(120)
def test_two_loaders_count_all_that_they_load(
    amqp_url: str,
    database_url: str,
    tables: Tables,
    filled: dict[tuple[UUID, int], int],
    tmp_path: Path,
) -> None:
    urls = {"amqp_url": amqp_url, "database_url": database_url}
    flags = ("--exit-when-empty", "--threads", "1", "--max-chunks-fetched", "1")
    with (
        Program(tmp_path / "one", "loader", "run", *flags, **urls) as one,
        Program(tmp_path / "two", "loader", "run", *flags, **urls) as two,
    ):
        assert (one.end(), two.end()) == (0, 0)
    assert_counted(tables, filled)
    # One of them took the snapshot of this hour.
    assert len(one.events("loader.activity_noted") + two.events("loader.activity_noted")) == 1


def test_what_a_killed_loader_had_not_written_is_missing_by_topic_only(
    amqp_url: str,
    database_url: str,
    tables: Tables,
    filled: dict[tuple[UUID, int], int],
    tmp_path: Path,
) -> None:
    urls = {"amqp_url": amqp_url, "database_url": database_url}
    with Program(tmp_path / "log", "loader", "run", **urls) as program:
        program.await_event("loader.chunk_loaded")
        loaded = "SELECT coalesce(sum(messages), 0)::int FROM client"
        wait_until(
            lambda: tables.rows(loaded) == [(sum(filled.values()),)], what="everything loaded"
        )
        program.kill()
    assert sum(topics(tables).values()) <= sum(filled.values())
    expected = sum(n for (client, _), n in filled.items() if client == UUID(int=1, version=4))
    assert numbers(tables, UUID(int=1, version=4)) == expected


def assert_counted(tables: Tables, truth: dict[tuple[UUID, int], int]) -> None:
    by_client: dict[UUID, int] = {}
    by_topic: dict[int, int] = {}
    for (client, topic_type), messages in truth.items():
        by_client[client] = by_client.get(client, 0) + messages
        by_topic[topic_type] = by_topic.get(topic_type, 0) + messages
    assert dict(tables.rows("SELECT client_id, messages FROM client")) == by_client
    found = tables.rows("SELECT topic_type, sum(messages)::int FROM topic_activity GROUP BY 1")
    assert dict(found) == by_topic


# -- erasing ---------------------------------------------------------------------------------


def test_erasing_leaves_nothing_of_a_client_and_everything_of_others(
    store: ChunkStore, activity: ActivityStore, clients: ClientStore, tables: Tables
) -> None:
    for client in (CLIENT, OTHER):
        say(store, 2, 4, client=client)
    activity.take_snapshot(now=NOON)
    tables.rows(
        "INSERT INTO resync_request (client_id, request_id, reason, requested_at) VALUES "
        "(%s, gen_random_uuid(), 'operator', now()) RETURNING 1",
        CLIENT,
    )
    tables.connection.execute(
        "INSERT INTO rare_state VALUES (301, NULL, 6, ARRAY[%s, %s]::uuid[], now())",
        [CLIENT, OTHER],
    )
    held = clients.held(CLIENT)
    assert held == (1, 1, 2, 1, 1, 2)
    assert clients.erase(CLIENT) == held
    for table in tables_with_clients(tables):
        naming = f"SELECT FROM {table} AS t WHERE t::text LIKE '%%' || %s::uuid || '%%'"
        assert tables.rows(naming, CLIENT) == [], table
    assert tables.rows("SELECT client_ids FROM rare_state") == [([OTHER],)]
    assert clients.held(OTHER) == (1, 1, 2, 0, 1, 2)


def tables_with_clients(tables: Tables) -> list[str]:
    found = tables.rows(
        "SELECT relname FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid "
        "WHERE relnamespace = 'statesys'::regnamespace AND relkind IN ('r', 'p') "
        "AND attname LIKE '%client_id%'"
    )
    return [name for (name,) in found]


def test_every_table_that_names_clients_is_one_that_erasing_empties(tables: Tables) -> None:
    ours = {
        *("client", "current_state", "missing_message_range", "resync_request"),
        *("client_activity", "top_client", "state_message", "collection_member", "rare_state"),
    }
    # An operator decides who is in quarantine, and ends it.
    ours.add("client_quarantine")
    found = {name for name in tables_with_clients(tables) if "state_message_2" not in name}
    assert found == ours


def test_the_history_of_a_client_that_was_forgotten_can_be_erased(
    store: ChunkStore, clients: ClientStore
) -> None:
    say(store, 1, 2)
    clients.forget(CLIENT)
    assert clients.held(CLIENT) == (0, 0, 0, 0, 0, 2)
    assert clients.erase(CLIENT).messages == 2
    assert not any(clients.held(CLIENT))


def test_erasing_waits_for_a_chunk_and_takes_what_it_brought(
    store: ChunkStore, clients: ClientStore, tables: Tables
) -> None:
    say(store, 1)
    erased = []
    with tables.connection.transaction():
        tables.rows("SELECT FROM client FOR UPDATE")
        thread = threading.Thread(target=lambda: erased.append(clients.erase(CLIENT)))
        thread.start()
        wait_until(
            lambda: tables.rows("SELECT FROM pg_locks WHERE NOT granted") != [],
            what="erase waits for the client's lock",
        )
        tables.rows(
            "INSERT INTO state_message SELECT client_id, 2, serial_text, digest, topic_type, "
            "topic_id, id_type, user_name, user_sid, state_id, criticality, message_time, params, "
            "details, details_type, report_date, forwarded_at, received_at, smx_id, batch_id, "
            "reused, resync_request_id, loaded_at FROM state_message RETURNING 1"
        )
    thread.join(60)
    assert [removed.messages for removed in erased] == [2]
    assert tables.rows("SELECT FROM state_message") == []


def test_an_erased_client_that_sends_again_comes_back(
    store: ChunkStore, clients: ClientStore, tables: Tables
) -> None:
    say(store, 1, 2, 3)
    clients.erase(CLIENT)
    say(store, 4)
    assert numbers(tables) == 1
    assert tables.open_ranges() == [(1, 3)]


def test_nothing_is_erased_of_a_client_that_nobody_knows(clients: ClientStore) -> None:
    assert not any(clients.erase(uuid4()))
