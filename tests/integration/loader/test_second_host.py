"""A URL with two hosts: when the first refuses writes, the loader continues on the second."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from loader.migrations import migrate
from runtime.devserver import ports, postgres, registry
from schemas.topology import DEAD
from tests.support.processes import (
    PATIENCE,
    Program,
    batches_of,
    fill,
    fleet_reports,
    messages_in,
    ready,
)
from tests.support.waiting import wait_until
from tests.support.world import Tables, open_tables

REPORTS = fleet_reports(clients=10, messages=400, seed=3)


@pytest.fixture
def first_url(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database on a server of its own, with name and password of the test's database."""
    parts = urlsplit(database_url)
    assert parts.password is not None
    (port,) = ports.choose(1)
    home = tmp_path_factory.mktemp("first")
    server = postgres.Server(home, registry.Postgres(port=port, password=parts.password))
    process = server.launch(lambda _: None)
    try:
        server.wait(process)
        own = parts._replace(netloc=f"{parts.username}:{parts.password}@{ports.HOST}:{port}")
        with psycopg.connect(own._replace(path="/postgres").geturl(), autocommit=True) as session:
            session.execute(f'CREATE DATABASE "{parts.path[1:]}"')
        migrate(own.geturl())
        yield own.geturl()
    finally:
        server.stop(process)


def both(first_url: str, second_url: str) -> str:
    """One URL that names both servers, and asks for the one that accepts writes."""
    first, second = urlsplit(first_url), urlsplit(second_url)
    hosts = f"{first.netloc},{second.hostname}:{second.port}"
    return first._replace(netloc=hosts, query="target_session_attrs=read-write").geturl()


def stored(tables: Tables) -> list[tuple[object, ...]]:
    return tables.rows("SELECT client_id, serial FROM state_message")


def test_a_loader_leaves_a_server_that_became_read_only(
    tmp_path: Path, amqp_url: str, first_url: str, database_url: str, tables: Tables
) -> None:
    bodies = batches_of(REPORTS)
    with (
        open_tables(first_url) as first,
        Program(
            tmp_path / "log",
            "loader",
            "run",
            "--threads=2",
            amqp_url=amqp_url,
            database_url=both(first_url, database_url),
        ) as loader,
    ):
        fill(amqp_url, bodies[::2])
        wait_until(lambda: len(stored(first)) > 500, timeout=PATIENCE, what="a part on the first")
        assert stored(tables) == []
        # The sessions stay open, but none of their statements may write any more.
        first.connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        first.connection.execute("SELECT pg_reload_conf()")
        fill(amqp_url, bodies[1::2])
        wait_until(
            lambda: {*stored(first), *stored(tables)} == messages_in(REPORTS),
            timeout=PATIENCE,
            what="the rest",
        )
        wait_until(lambda: ready(amqp_url) == 0, what="an empty queue")
        assert loader.process.poll() is None
        assert len(stored(tables)) > 500, "the second has what came later"
        for one in (first, tables):
            assert one.law()["stored twice"] == []
        # A message that came twice may be on both, if the first server loaded one copy before.
        assert ready(amqp_url, DEAD) == 0
