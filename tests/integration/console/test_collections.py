"""`statesys collections`: made by operators, evaluated by loaders, listed at this moment."""

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from loader.store import CollectionStore
from tests.integration.console.conftest import Run
from tests.support.world import Tables, open_tables

WAITING = "state(301) = 3 and seen < 7d"
MINUTE = timedelta(minutes=1)
EVERY = 5 * MINUTE


def client(number: int) -> UUID:
    return UUID(int=number, version=4)


@pytest.fixture
def tables(database_url: str) -> Iterator[Tables]:
    with open_tables(database_url) as found:
        yield found


@pytest.fixture
def store(database_url: str) -> Iterator[CollectionStore]:
    with closing(CollectionStore(database_url, name="test")) as found:
        yield found


def add(
    tables: Tables,
    number: int,
    *,
    name: str = "",
    version: str = "5.00",
    seen: timedelta | None = MINUTE,
    states: tuple[tuple[int, str, int], ...] = (),
    gap: bool = False,
) -> UUID:
    """Add a client, seen some time ago, with states of (topic type, topic id, state id)."""
    run, found = tables.connection.execute, client(number)
    run(
        "INSERT INTO client (client_id, name, version, highest_serial, last_seen, first_seen) "
        "VALUES (%s, %s, %s, 9, now() - %s::interval, now() - interval '400 days')",
        [found, name or f"PC{number}", version, seen],
    )
    for topic_type, topic_id, state in states:
        move(tables, found, topic_type, topic_id, state)
    if gap:
        run(
            "INSERT INTO missing_message_range (client_id, first_serial, last_serial, detected_at) "
            "VALUES (%s, 1, 2, now())",
            [found],
        )
    return found


def move(tables: Tables, who: UUID, topic_type: int, topic_id: str, state: int) -> None:
    """Give a client a current state."""
    tables.connection.execute(
        "INSERT INTO current_state (client_id, topic_type, topic_id, user_sid, state_id, "
        "criticality, message_time, digest, params) "
        "VALUES (%s, %s, %s, '', %s, 0, now(), '\\x00', '{}') "
        "ON CONFLICT (client_id, topic_type, topic_id, user_sid) "
        "DO UPDATE SET state_id = excluded.state_id",
        [who, topic_type, topic_id, state],
    )


def document(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def names(run: Run, env: dict[str, str], *arguments: str) -> list[str]:
    found = document(run("collections", "members", *arguments, "--json", env=env))
    return [member["name"] for member in found["members"]]


def test_a_collection_is_made_listed_shown_and_deleted(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    add(tables, 1, states=((301, "a", 3),))
    add(tables, 2, states=((301, "a", 3),), gap=True)
    add(tables, 3, states=((301, "a", 3),), seen=timedelta(days=8))
    add(tables, 4, states=((301, "a", 4),))
    made = run("collections", "create", "Waiting", WAITING, env=environment)
    assert (made.returncode, made.stdout) == (0, "")
    assert "made collection Waiting" in made.stderr
    assert names(run, environment, "waiting") == ["PC1", "PC2"]
    shown = document(run("collections", "show", "WAITING", "--json", env=environment))
    assert (shown["rule"], shown["members"]) == (WAITING, 2)
    assert shown["conditions"] == {"complete": 1, "gaps": 1}
    (listed,) = document(run("collections", "list", "--json", env=environment))["collections"]
    assert (listed["name"], listed["evaluated_at"], listed["members"]) == ("Waiting", None, None)
    gone = run("collections", "delete", "Waiting", "--yes", env=environment)
    assert (gone.returncode, WAITING in gone.stderr) == (0, True)
    assert document(run("collections", "list", "--json", env=environment))["collections"] == []
