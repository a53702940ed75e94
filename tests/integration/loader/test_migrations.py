"""Migrations of earlier tables that contain data."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from threading import Thread
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from console.queries import Queries
from console.queries.clients import ClientFilter, Order
from loader import migrations
from loader.store.chunks import ChunkStore
from loader.store.sites import SiteStore
from runtime.devserver import Endpoints
from schemas import tables as schema
from tests.support.earlier import migrate_before, with_first_tables
from tests.support.processes import PATIENCE
from tests.support.waiting import wait_until
from tests.support.world import CLIENT, Tables, chunk_store, load, message, open_tables, report


@pytest.fixture
def old_tables(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    """The tables of the first file only, with two messages in them."""
    with monkeypatch.context() as before:
        with_first_tables(before)
        assert migrations.migrate(empty_database_url) == ["0001_tables.sql"]
        store = opened(empty_database_url)
        load(store, report(message(1, state=-(2**31)), message(3, topic="t2", state=2**31 - 1)))
        store.close()
    with open_tables(empty_database_url) as tables:
        yield tables


def opened(url: str) -> ChunkStore:
    return chunk_store(url)


def test_states_keep_their_ids_and_may_then_be_larger(
    old_tables: Tables, empty_database_url: str
) -> None:
    old = old_tables.law()
    migrations.migrate(empty_database_url)
    assert old_tables.law() == old
    store = opened(empty_database_url)
    load(store, report(message(1, state=-(2**31)), message(2, state=2**32 - 1)))
    store.close()
    for table in ("state_message", "current_state"):
        assert set(
            old_tables.rows(f"SELECT serial, state_id, pg_typeof(state_id)::text FROM {table}")
        ) >= {(2, 2**32 - 1, "bigint"), (3, 2**31 - 1, "bigint")}
    assert old_tables.client().duplicates == 1
    assert old_tables.rows("SELECT DISTINCT pg_typeof(state_id)::text FROM topic_state") == [
        ("bigint",)
    ]


def test_every_day_gets_the_index_of_its_moments(
    old_tables: Tables, empty_database_url: str
) -> None:
    migrations.migrate(empty_database_url)
    (newest,) = old_tables.rows(
        "SELECT max(substring(relid::text FROM '[0-9]{8}')::date)::text "
        "FROM pg_partition_tree('state_message')"
    )[0]
    old_tables.connection.execute(
        f"CREATE TABLE a_later_day PARTITION OF state_message FOR VALUES "
        f"FROM ('{newest}'::date + 30) TO ('{newest}'::date + 31)"
    )
    days = "SELECT relid FROM pg_partition_tree('state_message') WHERE isleaf"
    indexed = (
        "SELECT indrelid FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
        "JOIN pg_am ON pg_am.oid = c.relam WHERE amname = 'brin'"
    )
    assert old_tables.rows(f"{days} EXCEPT {indexed}") == []
    moments = (
        "SELECT serial FROM state_message WHERE loaded_at > now() - interval '1 h' ORDER BY serial"
    )
    old_tables.connection.execute("SET enable_seqscan = off")
    assert old_tables.rows(moments) == [(1,), (3,)]
    assert "state_message_" in str(old_tables.rows(f"EXPLAIN {moments}"))


def test_no_key_sorts_by_a_library_of_the_system(
    old_tables: Tables, empty_database_url: str
) -> None:
    migrations.migrate(empty_database_url)
    found = old_tables.rows(
        "SELECT indexrelid::regclass::text FROM pg_index, unnest(indcollation) AS used "
        "WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'statesys'::regnamespace)"
        " AND used NOT IN (0, '\"C\"'::regcollation)"
    )
    assert found == []


def test_states_sort_by_their_bytes_whatever_the_collation_of_the_database(
    endpoints: Endpoints,
) -> None:
    url = urlsplit(endpoints.database_url)._replace(path=f"/icu_{uuid4().hex}").geturl()
    name = urlsplit(url).path[1:]
    topics = ["b", "A", "a", "_", "B", "é"]
    with psycopg.connect(endpoints.database_url, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8' "
            "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
        )
        try:
            migrations.migrate(url)
            store = opened(url)
            for first in (1, 7):
                messages = [message(n, topic=topic) for n, topic in enumerate(topics, first)]
                load(store, report(*messages))
            store.close()
            with Queries.open(url, name="test") as queries:
                states = queries.states(CLIENT)
            assert [(s.topic_id, s.serial) for s in states] == sorted(
                (topic, n) for n, topic in enumerate(topics, 7)
            )
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_what_older_workers_counted_stays_without_reason_and_verdict(
    empty_database_url: str,
) -> None:
    migrate_before(empty_database_url, "0013")
    with open_tables(empty_database_url) as tables:
        for role in ("relay", "loader"):
            tables.connection.execute(
                "INSERT INTO worker (id, role, host, pid, version, started_at, first_seen_at, "
                "seen_at, settings, uptime, reports, batches, chunks, messages, refused, "
                "quarantined) VALUES (gen_random_uuid(), %s, 'h', 1, '0', now(), now(), now(), "
                "'{}', 1, 20, 2, 3, 50, 7, 4)",
                [role],
            )
            tables.connection.execute(
                "INSERT INTO worker_ended VALUES (%s, 3, 20, 2, 3, 50, 7, 4)", [role]
            )
    assert "0013_metrics.sql" in migrations.migrate(empty_database_url)
    with Queries.open(empty_database_url, name="test") as queries:
        found = {(one.role, one.name): one.value for one in queries.worker_counts()}
    refused = {(role, "refused.unknown"): 6 for role in ("relay", "loader")}
    aside = {(role, "refused.quarantined"): 8 for role in ("relay", "loader")}
    assert found == refused | aside | {("loader", "loaded.unknown"): 100}


def test_a_site_keeps_its_rules_and_its_loaders_when_it_learns_to_import(
    empty_database_url: str,
) -> None:
    migrate_before(empty_database_url, "0014")
    with open_tables(empty_database_url) as tables:
        tables.connection.execute(
            "UPDATE site SET heartbeat_interval = '1 h', origin = 'loader', written_by = 'a:1'"
        )
        tables.connection.execute(
            "INSERT INTO loader (id, name, rules, started_at, seen_at) VALUES (gen_random_uuid(), "
            "'a:1', '{\"heartbeat_interval\": \"1h\"}', now(), now())"
        )
    assert "0014_site_control.sql" in migrations.migrate(empty_database_url)
    with Queries.open(empty_database_url, name="test") as queries:
        site = queries.site_settings()
        assert (site.origin, site.own, site.imported) == ("loader", {}, frozenset())
        assert site.rules.heartbeat_interval == timedelta(hours=1)
        assert [one.rules for one in queries.loaders()] == [{"heartbeat_interval": "1h"}]
    with closing(SiteStore(empty_database_url, name="test")) as store:
        store.site.take({"heartbeat_interval": timedelta(hours=2)})
    with Queries.open(empty_database_url, name="test") as queries:
        assert [one.rules for one in queries.loaders()] == [{"heartbeat_interval": "1h"}], (
            "what an older loader was given is not known, so all its rules count"
        )


def test_a_migration_begins_again_when_a_loader_holds_what_it_needs(
    old_tables: Tables, empty_database_url: str
) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as loader, loader.transaction():
        # So that PostgreSQL ends the migration, and not this.
        loader.execute("SET LOCAL deadlock_timeout = '10 min'")
        loader.execute("LOCK TABLE statesys.client IN ROW EXCLUSIVE MODE")
        applied: list[str] = []
        migration = Thread(target=lambda: applied.extend(migrations.migrate(empty_database_url)))
        migration.start()
        wait_until(
            lambda: old_tables.rows(
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                "AND datname = current_database() AND application_name = 'statesys-migrate'"
            ),
            what="the migration to wait",
        )
        loader.execute("LOCK TABLE statesys.state_message IN ROW EXCLUSIVE MODE")
    migration.join(PATIENCE)
    assert applied == [name for name, _ in schema.files()[1:]]


def test_clients_of_an_older_site_are_found_by_a_part_of_their_names(
    empty_database_url: str,
) -> None:
    migrate_before(empty_database_url, "0015")
    with open_tables(empty_database_url) as tables:
        tables.connection.execute(
            "INSERT INTO client (client_id, name, version, first_seen, last_seen) "
            "SELECT gen_random_uuid(), 'NB-' || n, '5', now(), now() "
            "FROM generate_series(1, 20000) AS n"
        )
        migrations.migrate(empty_database_url)
        tables.connection.execute("ANALYZE client")
        plan = tables.rows(
            "EXPLAIN SELECT * FROM client WHERE name_parts(name) COLLATE \"C\" @> ARRAY['999']"
        )
    assert "client_name_parts" in str(plan)
    with Queries.open(empty_database_url, name="test") as queries:
        chosen = ClientFilter(name="*b-*9999")
        found = queries.clients(chosen, order=Order.NAME, after=None, limit=9, now=queries.now())
    assert [client.name for client in found] == ["NB-19999", "NB-9999"]
