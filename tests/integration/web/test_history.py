"""A client's history, page by page: every message once, and exactly the changes."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

import psycopg
import pytest

from console.queries import Queries, one_client
from console.queries.one_client import HistoryKey
from tests.support.pages import csv_rows, pages, shown
from tests.support.viewers import Viewer
from tests.support.world import CLIENT

_START = datetime(2026, 3, 1, tzinfo=UTC)


class Known(NamedTuple):
    """A message that was written into the history."""

    serial: int | None
    digest: bytes
    topic: str
    user: str
    state: int
    loaded_at: datetime


def written(url: str, *, seed: int, messages: int = 120) -> list[Known]:
    """Write a history, some of it without serials, and return it in the order of the page."""
    dice = Random(seed)
    made = [
        Known(
            serial=None if dice.random() < 0.2 else number // 2,
            digest=dice.randbytes(16),
            topic=dice.choice("abc"),
            user=dice.choice(("", "S-1")),
            state=dice.choice((1, 2)),
            loaded_at=_START + timedelta(minutes=dice.randrange(messages)),
        )
        for number in range(2, messages + 2)
    ]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO statesys.client (client_id) VALUES (%s)", [CLIENT])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS statesys.of_march PARTITION OF statesys.state_message "
            "FOR VALUES FROM ('2026-03-01+00') TO ('2026-03-02+00')"
        )
        for one in made:
            connection.execute(
                "INSERT INTO statesys.state_message (client_id, serial, digest, topic_type, "
                "topic_id, user_name, user_sid, state_id, criticality, message_time, params, "
                "report_date, received_at, smx_id, batch_id, loaded_at) VALUES (%s, %s, %s, 500, "
                "%s, '', %s, %s, 0, now(), '{}', now(), now(), gen_random_uuid(), "
                "gen_random_uuid(), %s)",
                [CLIENT, one.serial, one.digest, one.topic, one.user, one.state, one.loaded_at],
            )
    numbered = [one for one in made if one.serial is not None]
    others = [one for one in made if one.serial is None]
    return [
        *sorted(numbered, key=lambda one: (one.serial or 0, one.digest), reverse=True),
        *sorted(others, key=lambda one: (one.loaded_at, one.digest), reverse=True),
    ]


def changes(history: list[Known]) -> list[Known]:
    """The messages whose state differs from that of the one before of the same topic and user."""
    found = []
    for at, one in enumerate(history):
        before = next(
            (
                older
                for older in history[at + 1 :]
                if (older.topic, older.user) == (one.topic, one.user)
                and (older.serial is None) == (one.serial is None)
            ),
            None,
        )
        if before is None or before.state != one.state:
            found.append(one)
    return found


def as_rows(history: list[Known]) -> list[tuple[str, ...]]:
    return [
        (
            "-" if one.serial is None else str(one.serial),
            one.topic,
            one.user,
            str(one.state),
            f"{one.loaded_at:%Y-%m-%d %H:%M:%S}",
        )
        for one in history
    ]


@pytest.mark.parametrize("limit", [1, 7, 50, 1000])
def test_pages_are_the_whole_history_or_its_changes(
    viewer: Viewer, database_url: str, limit: int
) -> None:
    history = written(database_url, seed=3, messages=20 if limit == 1 else 120)
    for query, expected in (("", history), ("&changes=true", changes(history))):
        listed = [
            (row[0], row[2], row[3], row[4].split()[0], row[6])
            for page in pages(viewer, f"/clients/{CLIENT}/history?limit={limit}{query}")
            for row in page.rows("Messages")
        ]
        assert listed == as_rows(expected)
        rows = csv_rows(viewer, f"/clients/{CLIENT}/history.csv?{query.lstrip('&')}")
        assert [(row["serial"], row["topic_id"], row["state_id"]) for row in rows] == [
            ("" if one.serial is None else str(one.serial), one.topic, str(one.state))
            for one in expected
        ]
    assert 0 < len(changes(history)) < len(history)


@pytest.mark.parametrize("examined", [1, 2, 10])
def test_a_page_with_few_changes_goes_on_behind_what_it_examined(
    database_url: str, monkeypatch: pytest.MonkeyPatch, examined: int
) -> None:
    history = written(database_url, seed=5)
    monkeypatch.setattr(one_client, "EXAMINED", examined)
    with Queries.open(database_url, name="test") as queries:
        for limit in (1, 3):
            found: list[bytes] = []
            key: HistoryKey | None = None
            while True:
                page = queries.client_history(CLIENT, changes=True, after=key, limit=limit)
                assert len(page.messages) <= limit
                found += [one.digest for one in page.messages]
                key = page.following
                if key is None:
                    break
            assert found == [one.digest for one in changes(history)]


def test_what_is_too_far_back_to_be_compared_counts_as_a_change(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = written(database_url, seed=7)
    monkeypatch.setattr(one_client, "EXAMINED", 5)
    monkeypatch.setattr(one_client, "BEFORE", 0)
    with Queries.open(database_url, name="test") as queries:
        page = queries.client_history(CLIENT, changes=True, limit=3)
    assert page.messages[0].digest == history[0].digest


def test_a_client_without_messages_is_told_what_that_means(
    viewer: Viewer, database_url: str
) -> None:
    assert "never heard of" in shown(viewer, f"/clients/{CLIENT}/history", status=404).text()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO statesys.client (client_id) VALUES (%s)", [CLIENT])
    assert "no longer kept" in shown(viewer, f"/clients/{CLIENT}/history").text()
