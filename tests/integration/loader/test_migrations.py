"""Migrations of earlier tables that contain data."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from console.queries import Queries
from loader import migrations
from loader.store import ChunkStore
from runtime.devserver import Endpoints
from tests.support.earlier import with_first_tables
from tests.support.world import CLIENT, Tables, load, message, open_tables, report


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
    return ChunkStore(
        url,
        name="test",
        reuse_tolerance=timedelta(minutes=5),
        max_ranges=1000,
        min_missing_age=timedelta(hours=48),
    )


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
