"""A database to load into, and access to the tables that the law is about."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from loader.store.activity import ActivityStore
from loader.store.chunks import ChunkStore
from loader.store.clients import ClientStore
from loader.store.resyncs import ResyncStore
from tests.support.world import CLIENT, Tables, chunk_store, open_tables

MIN_AGE, MERGE = timedelta(hours=48), timedelta(hours=72)


@pytest.fixture
def tables(database_url: str) -> Iterator[Tables]:
    with open_tables(database_url) as tables:
        yield tables


@pytest.fixture
def held_lock(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """This session locks the row of the client, so a chunk with it waits in the database."""
    with psycopg.connect(database_url, options="-c search_path=statesys") as connection:
        connection.execute("INSERT INTO client (client_id) VALUES (%s)", [CLIENT])
        connection.commit()
        connection.execute("SELECT FROM client WHERE client_id = %s FOR UPDATE", [CLIENT])
        yield connection
        connection.rollback()


@pytest.fixture
def open_store(database_url: str) -> Iterator[Callable[..., ChunkStore]]:
    stores = []

    def make(*, max_ranges: int = 1000, min_missing_age: timedelta = MIN_AGE) -> ChunkStore:
        store = chunk_store(database_url, max_ranges=max_ranges, min_missing_age=min_missing_age)
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., ChunkStore]) -> ChunkStore:
    return open_store()


@pytest.fixture
def open_resyncs(database_url: str) -> Iterator[Callable[..., ResyncStore]]:
    stores = []

    def make(
        *, min_age: timedelta | None = MIN_AGE, merge: timedelta | None = MERGE
    ) -> ResyncStore:
        found = ResyncStore(
            database_url, name="test", min_missing_age=min_age, merge_interval=merge
        )
        stores.append(found)
        return found

    yield make
    for found in stores:
        found.close()


@pytest.fixture
def clients(database_url: str) -> Iterator[ClientStore]:
    """Deletes clients of the test's database."""
    with closing(ClientStore(database_url)) as found:
        yield found


@pytest.fixture
def activity(database_url: str) -> Iterator[ActivityStore]:
    """Writes down what the clients of the test's database sent."""
    with closing(ActivityStore(database_url)) as found:
        yield found


@pytest.fixture
def limited_url(database_url: str, tables: Tables) -> Iterator[str]:
    """The same database, for a user with only the rights of a loader."""
    role, password = f"limited_{uuid.uuid4().hex}", "secret"
    grants = (
        "CREATE ROLE {role} LOGIN PASSWORD {password}",
        "GRANT USAGE, CREATE ON SCHEMA statesys TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA statesys TO {role}",
        "ALTER TABLE statesys.state_message OWNER TO {role}",
    )
    for grant in grants:
        tables.connection.execute(
            sql.SQL(grant).format(role=sql.Identifier(role), password=sql.Literal(password))
        )
    parts = urlsplit(database_url)
    yield parts._replace(netloc=f"{role}:{password}@{parts.hostname}:{parts.port}").geturl()
    tables.connection.execute(sql.SQL("DROP OWNED BY {0} CASCADE").format(sql.Identifier(role)))
    tables.connection.execute(sql.SQL("DROP ROLE {0}").format(sql.Identifier(role)))
