"""Partitions: made early, dropped late, without delaying the loading."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any

import psycopg
import pytest

from loader.store import partitions as partitions_module
from loader.store.chunks import ChunkStore
from loader.store.partitions import PartitionStore
from schemas.errors import DatabaseUnavailable
from tests.support.processes import batch, drain, fill
from tests.support.waiting import wait_until
from tests.support.world import Tables, load, message, report

RETENTION = timedelta(days=90)
TODAY = datetime.now(UTC).date()
OpenPartitions = Callable[[], PartitionStore]


@pytest.fixture
def open_partitions(database_url: str) -> Iterator[OpenPartitions]:
    stores: list[PartitionStore] = []

    def make() -> PartitionStore:
        stores.append(PartitionStore(database_url, name="test"))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def partitions(open_partitions: OpenPartitions) -> PartitionStore:
    return open_partitions()


def name_of(day: date) -> str:
    return f"state_message_{day:%Y%m%d}"


def days(first: date, count: int) -> list[str]:
    return [name_of(first + timedelta(days=ahead)) for ahead in range(count)]


def attached(tables: Tables) -> list[str]:
    query = (
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'state_message'::regclass AND NOT i.inhdetachpending ORDER BY 1"
    )
    return [name for (name,) in tables.rows(query)]


def pending(tables: Tables) -> list[str]:
    query = (
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhdetachpending"
    )
    return [name for (name,) in tables.rows(query)]


def exists(tables: Tables, name: str) -> bool:
    ((found,),) = tables.rows("SELECT to_regclass(%s) IS NOT NULL", name)
    return bool(found)


def make_old(partitions: PartitionStore, day: date) -> None:
    """Partitions of a week long ago."""
    partitions.keep(today=day, retention=timedelta(days=36500))


@contextmanager
def long_reader(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session with one long open snapshot, like a dump or a report."""
    with psycopg.connect(url, options="-c search_path=statesys") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM state_message")
        yield connection
        connection.rollback()


def test_there_is_one_for_today_and_the_next_seven_days(tables: Tables) -> None:
    # The migration made them once for many tests; midnight may have passed since, or right now.
    assert attached(tables) in [days(TODAY + timedelta(days=of), 8) for of in (-1, 0, 1)]


def test_keeping_them_twice_makes_nothing(partitions: PartitionStore, tables: Tables) -> None:
    later = TODAY + timedelta(days=30)
    made, dropped = partitions.keep(today=later, retention=RETENTION)
    assert (made, dropped) == (days(later, 8), [])
    assert partitions.keep(today=later, retention=RETENTION) == ([], [])
    assert set(days(later, 8)) < set(attached(tables))


def test_a_day_goes_on_where_the_last_one_ends(partitions: PartitionStore) -> None:
    later = TODAY + timedelta(days=30)
    partitions.keep(today=later, retention=RETENTION)
    made, _ = partitions.keep(today=later + timedelta(days=1), retention=RETENTION)
    assert made == [name_of(later + timedelta(days=8))]


def test_a_name_that_something_else_has_is_left_to_it(
    partitions: PartitionStore, tables: Tables
) -> None:
    later = TODAY + timedelta(days=30)
    tables.connection.execute(f"CREATE TABLE {name_of(later)} AS SELECT 'a copy' AS what")
    made, _ = partitions.keep(today=later, retention=RETENTION)
    assert made == [f"{name_of(later)}_1", *days(later + timedelta(days=1), 7)]
    assert tables.rows(f"SELECT what FROM {name_of(later)}") == [("a copy",)]
    # This day is dropped like any other when it is old.
    _, dropped = partitions.keep(today=later + timedelta(days=91), retention=RETENTION)
    assert f"{name_of(later)}_1" in dropped
    assert exists(tables, name_of(later))


def test_a_day_that_an_operator_s_partition_holds_needs_no_other(
    partitions: PartitionStore, tables: Tables
) -> None:
    later = TODAY + timedelta(days=30)
    tables.connection.execute(
        f"CREATE TABLE a_month PARTITION OF state_message "
        f"FOR VALUES FROM ('{later} 00:00Z') TO ('{later + timedelta(days=5)} 00:00Z')"
    )
    made, _ = partitions.keep(today=later, retention=RETENTION)
    assert made == days(later + timedelta(days=5), 3)


def test_a_default_partition_hinders_neither_making_nor_dropping(
    partitions: PartitionStore, tables: Tables, store: ChunkStore
) -> None:
    old = TODAY - RETENTION - timedelta(days=2)
    make_old(partitions, old)
    # Midnight may pass before the message is loaded, so drop the partitions of all these days.
    for name in attached(tables)[-8:]:
        tables.connection.execute(f"DROP TABLE {name}")
    tables.connection.execute("CREATE TABLE the_rest PARTITION OF state_message DEFAULT")
    load(store, report(message(1)))
    ((day,),) = tables.rows("SELECT (loaded_at AT TIME ZONE 'UTC')::date FROM the_rest")
    made, dropped = partitions.keep(today=TODAY, retention=RETENTION)
    assert made == [name for name in days(TODAY, 8) if name != name_of(day)]
    assert dropped == days(old, 2)


def test_partitions_past_the_retention_are_dropped(
    partitions: PartitionStore, tables: Tables
) -> None:
    oldest = TODAY - RETENTION - timedelta(days=4)
    make_old(partitions, oldest)
    _, dropped = partitions.keep(today=TODAY, retention=RETENTION)
    assert dropped == days(oldest, 4)
    assert not any(exists(tables, name) for name in dropped)
    assert name_of(TODAY - RETENTION) in attached(tables)


def test_closed_ranges_and_requests_go_with_them(
    partitions: PartitionStore, tables: Tables
) -> None:
    tables.connection.execute(
        "INSERT INTO missing_message_range "
        "(client_id, first_serial, last_serial, detected_at, closed_at, closed_how) VALUES "
        "(gen_random_uuid(), 1, 1, now(), now() - interval '2 days', 'arrived'), "
        "(gen_random_uuid(), 2, 2, now(), now(), 'arrived'), "
        "(gen_random_uuid(), 3, 3, now() - interval '9 days', NULL, NULL)"
    )
    assert partitions.forget(retention=timedelta(days=1)) == 1
    assert tables.rows("SELECT first_serial FROM missing_message_range ORDER BY 1") == [(2,), (3,)]


def test_a_day_that_an_operator_detached_stays(partitions: PartitionStore, tables: Tables) -> None:
    old = TODAY - RETENTION - timedelta(days=9)
    make_old(partitions, old)
    tables.connection.execute(f"ALTER TABLE state_message DETACH PARTITION {name_of(old)}")
    assert partitions.keep(today=TODAY, retention=RETENTION)[1] == days(old + timedelta(days=1), 7)
    assert exists(tables, name_of(old))


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        (name_of(date(2025, 1, 1)), "FROM ('2026-06-01 00:00Z') TO ('2026-06-02 00:00Z')"),
        (name_of(date(2025, 1, 1)), "FROM ('2025-01-01 00:00Z') TO ('2025-02-01 00:00Z')"),
        (name_of(date(2025, 1, 1)), "FROM (MINVALUE) TO ('2025-01-02 00:00Z')"),
        ("january", "FROM ('2025-01-01 00:00Z') TO ('2025-01-02 00:00Z')"),
    ],
)
def test_a_partition_that_is_not_one_of_our_days_stays(
    partitions: PartitionStore, tables: Tables, name: str, bounds: str
) -> None:
    tables.connection.execute(f"CREATE TABLE {name} PARTITION OF state_message FOR VALUES {bounds}")
    assert partitions.keep(today=TODAY, retention=RETENTION)[1] == []
    assert name in attached(tables)


def test_a_foreign_or_divided_partition_stays(partitions: PartitionStore, tables: Tables) -> None:
    bounds = "FOR VALUES FROM ('{0} 00:00Z') TO ('{1} 00:00Z')"
    first, second = date(2025, 1, 1), date(2025, 1, 2)
    tables.connection.execute("CREATE EXTENSION postgres_fdw SCHEMA public")
    tables.connection.execute("CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw")
    tables.connection.execute(
        f"CREATE TABLE {name_of(first)} PARTITION OF state_message "
        + bounds.format(first, second)
        + " PARTITION BY HASH (client_id)"
    )
    # A foreign table cannot be a partition of a table with a unique index; ours has none.
    tables.connection.execute(
        f"CREATE FOREIGN TABLE {name_of(second)} PARTITION OF state_message "
        + bounds.format(second, date(2025, 1, 3))
        + " SERVER elsewhere"
    )
    assert partitions.keep(today=TODAY, retention=RETENTION)[1] == []
    assert exists(tables, name_of(first))
    assert exists(tables, name_of(second))


def test_a_day_whose_keeper_died_between_detaching_and_dropping_is_dropped(
    partitions: PartitionStore, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = TODAY - RETENTION - timedelta(days=8)
    make_old(partitions, old)
    with monkeypatch.context() as death:
        death.setattr(PartitionStore, "_drop", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            partitions.keep(today=TODAY, retention=RETENTION)
    assert name_of(old) not in attached(tables)
    assert exists(tables, name_of(old))
    assert partitions.keep(today=TODAY, retention=RETENTION)[1] == days(old, 8)
    assert not exists(tables, name_of(old))


def test_a_detach_that_an_operator_began_is_finished_and_the_table_kept(
    database_url: str, partitions: PartitionStore, tables: Tables
) -> None:
    old = TODAY - RETENTION - timedelta(days=2)
    make_old(partitions, old)
    tables.connection.execute("SET lock_timeout = '100ms'")
    with long_reader(database_url), pytest.raises(psycopg.errors.LockNotAvailable):
        tables.connection.execute(
            f"ALTER TABLE state_message DETACH PARTITION {name_of(old)} CONCURRENTLY"
        )
    assert pending(tables) == [name_of(old)]
    assert partitions.keep(today=TODAY, retention=RETENTION)[1] == [
        name_of(old + timedelta(days=1))
    ]
    assert pending(tables) == []
    assert exists(tables, name_of(old))


def test_what_day_it_is_the_database_says(partitions: PartitionStore, tables: Tables) -> None:
    before = attached(tables)
    assert partitions.keep(retention=timedelta(days=1))[1] == []
    assert set(before) <= set(attached(tables))


def test_a_completed_request_stays_while_it_outdates_a_sign(
    partitions: PartitionStore, tables: Tables
) -> None:
    tables.connection.execute(
        "INSERT INTO client (client_id, reuse_seen_at) VALUES "
        "('11111111-1111-4111-8111-111111111111', now() - interval '9 days')"
    )
    tables.connection.execute(
        "INSERT INTO resync_request "
        "(client_id, request_id, reason, requested_at, closed_at, closed_how) "
        "SELECT client, gen_random_uuid(), 'serial_reused', now() - interval '8 days', "
        "now() - interval '8 days', 'answered' FROM (VALUES "
        "('11111111-1111-4111-8111-111111111111'::uuid), (gen_random_uuid())) c(client)"
    )
    assert partitions.forget(retention=timedelta(days=1)) == 1
    assert tables.rows("SELECT count(*) FROM resync_request JOIN client USING (client_id)") == [
        (1,)
    ]


def test_a_long_reader_delays_the_dropping_and_nothing_else(
    database_url: str, partitions: PartitionStore, tables: Tables, store: ChunkStore
) -> None:
    oldest = TODAY - RETENTION - timedelta(days=1)
    make_old(partitions, oldest)
    with long_reader(database_url) as reader:
        with pytest.raises(DatabaseUnavailable, match="55P03"):
            partitions.keep(today=TODAY, retention=RETENTION)
        assert pending(tables) == [name_of(oldest)]
        load(store, report(message(1)))
        # The detaching has begun, and can be finished only when the reader has ended.
        with pytest.raises(DatabaseUnavailable):
            partitions.keep(today=TODAY, retention=RETENTION)
        load(store, report(message(2)))
        assert reader.execute("SELECT count(*) FROM state_message").fetchone() == (0,)
    _, dropped = partitions.keep(today=TODAY, retention=RETENTION)
    assert dropped == [name_of(oldest)]
    assert pending(tables) == []
    assert not exists(tables, name_of(oldest))


def test_loads_go_on_while_a_detach_waits_for_a_long_reader(
    database_url: str, partitions: PartitionStore, tables: Tables, store: ChunkStore
) -> None:
    make_old(partitions, TODAY - RETENTION - timedelta(days=1))
    # A long lock timeout, so that the detaching still waits when the loads are done.
    partitions._session.connection.execute("SET lock_timeout = '30s'")
    waiting = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE query LIKE '%%DETACH PARTITION%%CONCURRENTLY' AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor(1) as pool:
        with long_reader(database_url):
            kept = pool.submit(partitions.keep, today=TODAY, retention=RETENTION)
            wait_until(lambda: tables.rows(waiting) == [(1,)], what="the detach to wait")
            for serial in range(1, 6):
                load(store, report(message(serial)))
            assert not kept.done()
        assert kept.result(30)[1] == [name_of(TODAY - RETENTION - timedelta(days=1))]
    assert tables.client().highest_serial == 5


def test_a_loader_starts_and_loads_while_a_long_reader_delays_the_dropping(
    amqp_url: str, database_url: str, partitions: PartitionStore, tables: Tables
) -> None:
    make_old(partitions, TODAY - RETENTION - timedelta(days=1))
    fill(amqp_url, [batch(report(message(1)))])
    with long_reader(database_url):
        drain(amqp_url, database_url)
        assert tables.client().highest_serial == 1


def test_of_two_keepers_one_does_the_work(open_partitions: OpenPartitions, tables: Tables) -> None:
    later = TODAY + timedelta(days=30)
    keepers = [open_partitions() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda k: k.keep(today=later, retention=RETENTION), keepers))
    assert sorted(chain.from_iterable(made for made, _ in kept)) == days(later, 8)
    assert set(days(later, 8)) < set(attached(tables))


def test_a_keeper_that_died_leaves_no_lock(open_partitions: OpenPartitions) -> None:
    first, second = open_partitions(), open_partitions()
    later = TODAY + timedelta(days=30)
    first._one("SELECT pg_try_advisory_lock(%s)", partitions_module._UPKEEP_LOCK)
    assert second.keep(today=later, retention=RETENTION) == ([], [])
    first.close()

    wait_until(
        lambda: second.keep(today=later, retention=RETENTION)[0] == days(later, 8),
        what="the lock to be free",
    )
