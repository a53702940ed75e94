"""The queries, each against a migrated database."""

import inspect
import re
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from console.queries import Queries
from console.queries.clients import ClientFilter
from console.queries.resyncs import RequestState
from runtime.database import shared_session
from runtime.statements import statements
from schemas.errors import DatabaseUnavailable, SchemaMissing, SettingsError

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "client": (uuid4(),),
    "condition": (uuid4(),),
    "due": (uuid4(),),
    "states": (uuid4(),),
    "requests": (uuid4(),),
    "message": (uuid4(), 1),
    "clients": (ClientFilter(),),
    "site_requests": (RequestState.PENDING,),
    "stored_message": (uuid4(), 1, b""),
    "audit_entry": (1,),
    "since": (uuid4(),),
    "changes": (uuid4(),),
    "open_ranges": (uuid4(),),
    "reused_serials": (uuid4(),),
    "topic_states": (uuid4(), 500, None),
    "topic_messages": (uuid4(), 500, None),
}


def methods() -> list[str]:
    skipped = {"open", "snapshot", "known", "client_id_of", "evaluated", "last_messages"}
    # Those that need keywords have tests of the pages that ask them.
    skipped |= {"audit", "clients_named", "state_page", "client_history"}
    skipped |= {"messages_in_time", "messages_of_client"}
    return [
        name
        for name, _ in inspect.getmembers(Queries, inspect.isfunction)
        if not name.startswith("_") and name not in skipped
    ]


@pytest.mark.parametrize("method", methods())
def test_every_question_has_an_answer_in_an_empty_database(database_url: str, method: str) -> None:
    with Queries.open(database_url, name="test") as queries, queries.snapshot():
        answer = getattr(queries, method)(*ARGUMENTS.get(method, ()))
        if inspect.isgenerator(answer):
            assert list(answer) == []


def test_every_named_query_is_asked_and_says_what_for() -> None:
    here = list(files("console.queries").iterdir())
    source = "".join(one.read_text(encoding="utf-8") for one in here if one.name.endswith(".py"))
    texts = [
        named
        for one in here
        if one.name.endswith(".sql")
        for named in statements("console.queries", one.name).items()
    ]
    assert texts
    for name, text in texts:
        # A part of a query is chosen by the option that it is for.
        if not name.startswith(("where_", "order_", "after_")):
            assert f'"{name}"' in source, name
            assert text.startswith("-- "), name
        assert not re.search(r"\b(insert|update|delete|truncate)\b", text, re.IGNORECASE), name


def test_the_console_cannot_write(database_url: str) -> None:
    with (
        pytest.raises(DatabaseUnavailable, match="read-only"),
        shared_session(database_url, "test") as session,
    ):
        session.execute("DELETE FROM statesys.client")


def test_a_snapshot_does_not_see_what_comes_later(database_url: str) -> None:
    with (
        Queries.open(database_url, name="test") as queries,
        psycopg.connect(database_url, autocommit=True) as other,
    ):
        with queries.snapshot():
            other.execute("INSERT INTO statesys.client (client_id) VALUES (gen_random_uuid())")
            assert queries.totals().clients == 0
        assert queries.totals().clients == 1


def test_a_silent_client_is_one_that_left_three_requests_unanswered(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            "INSERT INTO statesys.client (client_id, last_seen) "
            "SELECT gen_random_uuid(), '2026-01-01' FROM generate_series(1, 2)"
        )
        other.execute(
            "INSERT INTO statesys.resync_request (client_id, request_id, reason, requested_at, "
            "closed_at, closed_how) SELECT client_id, gen_random_uuid(), 'missing', "
            "timestamptz '2026-01-02' + day * interval '1 day', "
            "timestamptz '2026-01-03' + day * interval '1 day', 'unanswered' "
            "FROM statesys.client, generate_series(1, 3) AS day"
        )
        other.execute(
            "UPDATE statesys.client SET last_seen = '2026-02-01' WHERE client_id = "
            "(SELECT min(client_id::text)::uuid FROM statesys.client)"
        )
    with Queries.open(database_url, name="test") as queries:
        totals = queries.totals()
    assert (totals.silent, totals.unanswered, totals.pending) == (1, 6, 0)


def test_a_request_that_waits_for_its_moment_is_pending_and_unsent(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            "INSERT INTO statesys.resync_request (client_id, request_id, reason, requested_at, "
            "sent_at) SELECT gen_random_uuid(), gen_random_uuid(), 'missing', at, sent "
            "FROM (VALUES (timestamptz '2026-01-01', timestamptz '2026-01-01'), "
            "('2026-01-03', NULL), ('2026-01-02', NULL)) AS v (at, sent)"
        )
    with Queries.open(database_url, name="test") as queries:
        totals = queries.totals()
    assert (totals.pending, totals.unsent) == (3, 2)
    assert totals.next_unsent_at == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("postgresql://x:y@127.0.0.1:1/x", DatabaseUnavailable, "Connection refused; start it"),
        ("postgresql://x:p%zz@127.0.0.1:1/x", SettingsError, "STATESYS_DATABASE_URL"),
    ],
)
def test_a_server_that_is_not_there_is_one_sentence(
    url: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as raised, Queries.open(url, name="test"):
        pass
    assert "p%zz" not in str(raised.value)


def test_a_database_without_tables_says_what_to_do(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA statesys CASCADE")
    with (
        pytest.raises(SchemaMissing, match="statesys loader migrate"),
        Queries.open(database_url, name="test") as queries,
    ):
        queries.totals()
