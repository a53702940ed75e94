"""Migrations, from the tables before them with data in them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from loader import migrations
from loader.store import ChunkStore
from tests.loader.world import Tables, load, message, open_tables, report


@pytest.fixture
def old_tables(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    """The tables of the first file only, with two messages in them."""
    with monkeypatch.context() as before:
        files = migrations._files()
        before.setattr(migrations, "_files", lambda: files[:1])
        assert migrations.migrate(empty_database_url) == ["0001_tables.sql"]
    with open_tables(empty_database_url) as tables:
        store = opened(empty_database_url)
        load(store, report(message(1, state=-(2**31)), message(3, topic="t2", state=2**31 - 1)))
        store.close()
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
