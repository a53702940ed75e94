"""`loader migrate` refuses what a loader cannot work with, and needs only necessary rights."""

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from loader.migrations import migrate
from runtime.devserver import Endpoints
from tests.support.promises import keep, promise


def database(endpoints: Endpoints, name: str) -> str:
    return urlsplit(endpoints.database_url)._replace(path=f"/{name}").geturl()


@pytest.fixture
def owner_url(database_url: str) -> Iterator[str]:
    """The owner of the tables, who may create nothing in the database or its schema."""
    role, parts = f"owner_{uuid4().hex}", urlsplit(database_url)
    # The template may date from yesterday, so that one more partition is due.
    migrate(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
        connection.execute(f"GRANT USAGE ON SCHEMA statesys TO {role}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA statesys TO {role}")
        yield parts._replace(netloc=f"{role}:p@{parts.hostname}:{parts.port}").geturl()
        connection.execute(f"DROP OWNED BY {role}")
        connection.execute(f"DROP ROLE {role}")


def test_with_nothing_to_do_it_needs_no_right_to_do_it(owner_url: str) -> None:
    assert migrate(owner_url) == []


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_refused_and_left_as_it_was(
    endpoints: Endpoints, encoding: str
) -> None:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(database(endpoints, "postgres"), autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
        )
        try:
            keep(
                promise("loader migrate", "the encoding is not UTF8"), "", database(endpoints, name)
            )
            with psycopg.connect(database(endpoints, name)) as refused:
                schema = refused.execute("SELECT to_regnamespace('statesys')::text").fetchone()
            assert schema == (None,)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_tables_of_a_newer_statesys_are_left_alone(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO statesys.migration (name) VALUES ('9999_later.sql')")
    keep(promise("loader migrate", "a newer statesys made the tables"), "", database_url)


def test_a_schema_of_another_program_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA statesys CASCADE; CREATE SCHEMA statesys")
        connection.execute("CREATE TABLE statesys.theirs ()")
    keep(promise("loader migrate", "the schema is another program's"), "", database_url)


def test_an_empty_schema_that_an_administrator_made_is_used(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA statesys CASCADE; CREATE SCHEMA statesys")
    assert "0001_tables.sql" in migrate(database_url)
