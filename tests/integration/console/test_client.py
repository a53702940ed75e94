"""`statesys client forget` and `client erase` say what they delete and what they leave."""

import json
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import pytest

from tests.integration.console.conftest import Run
from tests.support.world import CLIENT, Tables, chunk_store, load, message, open_tables, report

OTHER = UUID("22222222-2222-4222-8222-222222222222")
UNKNOWN = UUID("33333333-3333-4333-8333-333333333333")


@pytest.fixture
def tables(database_url: str) -> Iterator[Tables]:
    with open_tables(database_url) as tables:
        yield tables


@pytest.fixture(autouse=True)
def two_clients(database_url: str) -> None:
    """Two machines named PC1, each with two messages and a missing range."""
    store = chunk_store(database_url)
    with closing(store):
        for client in (CLIENT, OTHER):
            load(store, report(message(1, topic="a"), message(3, topic="b"), client=client))


def held(tables: Tables) -> dict[UUID, int]:
    return dict(tables.rows("SELECT client_id, count(*) FROM state_message GROUP BY 1"))


def test_erasing_says_what_it_deleted_and_what_it_leaves(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    done = run("client", "erase", CLIENT, "--yes", env=environment)
    assert (done.returncode, done.stdout) == (0, "")
    told = "2 current states, 1 missing range, 0 resync requests, 2 messages"
    assert f"erased {CLIENT}: {told}" in done.stderr
    for left in ("queues", "dead letters", "backups", "own store", "comes back"):
        assert left in done.stderr
    assert held(tables) == {OTHER: 2}
    again = run("client", "erase", CLIENT, "--yes", env=environment)
    assert again.returncode == 1
    assert "is not known" in again.stderr


def test_forgetting_says_so_too_and_leaves_the_history(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    done = run("client", "forget", CLIENT, "--yes", env=environment)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"forgot {CLIENT}: 2 current states, 1 missing range, 0 resync req" in done.stderr
    for left in ("its history", "statesys client erase", "dead letters", "backups", "comes back"):
        assert left in done.stderr
    assert held(tables) == {CLIENT: 2, OTHER: 2}
    # What it left can still be erased.
    erased = run("client", "erase", CLIENT, "--yes", "--json", env=environment)
    assert json.loads(erased.stdout) == {
        "client_id": str(CLIENT),
        "clients": 0,
        "states": 0,
        "ranges": 0,
        "requests": 0,
        "activity": 0,
        "messages": 2,
    }
    assert held(tables) == {OTHER: 2}


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130), ("", 130)])
def test_erasing_asks_first(
    run: Run, environment: dict[str, str], tables: Tables, answer: str, code: int
) -> None:
    done = run("client", "erase", CLIENT, env=environment, given=answer)
    assert done.returncode == code
    assert f"Delete PC1 {CLIENT} for good: 2 current states" in done.stderr
    assert held(tables) == ({OTHER: 2} if code == 0 else {CLIENT: 2, OTHER: 2})


def test_a_name_of_two_machines_erases_neither(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    done = run("client", "erase", "pc1", "--yes", env=environment)
    assert done.returncode == 2
    assert str(CLIENT) in done.stderr
    assert str(OTHER) in done.stderr
    assert held(tables) == {CLIENT: 2, OTHER: 2}


def test_a_name_that_a_terminal_would_obey_is_shown_in_the_question(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    tables.rows("UPDATE client SET name = E'\\x1b[31mred' WHERE client_id = %s RETURNING 1", CLIENT)
    done = run("client", "erase", CLIENT, env=environment, given="n\n")
    assert "\x1b" not in done.stderr
    assert r"\x1b[31mred" in done.stderr


@pytest.mark.parametrize("command", ["forget", "erase"])
def test_a_client_that_nobody_knows_is_told(
    run: Run, environment: dict[str, str], command: str
) -> None:
    done = run("client", command, UNKNOWN, "--yes", env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"client {UNKNOWN} is not known" in done.stderr
