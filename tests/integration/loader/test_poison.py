"""Only the poison becomes a dead letter; for the database's own trouble no message does."""

import random
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from loader.store.chunks import ChunkStore
from runtime.broker.dead_letters import DETAIL, QUEUE, REASON, STAGE
from runtime.database.errors import OUR_KEYS, StatementFailed
from schemas.report import StateMessage
from schemas.smx import parse_batch, render_batch, render_smx
from schemas.topology import DEAD
from tests.support.processes import (
    NORMAL,
    Program,
    batch,
    batches_of,
    drain,
    fill,
    ready,
    take_all,
)
from tests.support.waiting import wait_until
from tests.support.world import CLIENT, Tables, load, message, report, smx

POISON = "poison"
#: 512 characters of four bytes that do not compress: 2 KiB each, and an index row takes 2.7 KiB.
_rng = random.Random(7)
LONG = ["".join(chr(_rng.randrange(0x10000, 0x3FFFF)) for _ in range(512)) for _ in range(2)]


def neighbours_and(bad: StateMessage, *, bad_at: int = 37, count: int = 60) -> list[bytes]:
    """Reports of one client with 60 messages, one of them bad, in 4 batches."""
    messages = [message(serial, topic=f"t{serial}") for serial in range(1, count + 1)]
    messages[bad_at - 1] = bad._replace(serial=bad_at)
    return batches_of(
        [report(*messages[at : at + 5]) for at in range(0, count, 5)],
        size=3,
    )


def refuse(tables: Tables, sqlstate: str) -> None:
    """Add a trigger that raises for one topic id."""
    tables.connection.execute(
        sql.SQL(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no such thing' USING ERRCODE = {}; END $$; "
            "CREATE TRIGGER refuse BEFORE INSERT ON current_state FOR EACH ROW "
            "WHEN (NEW.topic_id = {}) EXECUTE FUNCTION refuse()"
        ).format(sql.Literal(sqlstate), sql.Literal(POISON))
    )


def check(tables: Tables) -> None:
    tables.connection.execute(
        f"ALTER TABLE state_message ADD CONSTRAINT wholesome CHECK (topic_id <> '{POISON}')"
    )


def unique(tables: Tables) -> None:
    """Add a row that conflicts with this one topic."""
    tables.connection.execute(
        f"CREATE UNIQUE INDEX alone ON current_state ((1)) WHERE topic_id = '{POISON}'"
    )
    tables.connection.execute(
        "INSERT INTO current_state SELECT gen_random_uuid(), 1, %s, '', 1, 1, 1, 1, now(), "
        "'x', '{}'",
        [POISON],
    )


def not_null(tables: Tables) -> None:
    tables.connection.execute("ALTER TABLE current_state ALTER details SET NOT NULL")


CAUSES: dict[str, Callable[[Tables], None]] = {
    "22003": lambda tables: refuse(tables, "22003"),
    "22P02": lambda tables: refuse(tables, "22P02"),
    "23514": check,
    "23505": unique,
    "54000": lambda _: None,
}
REPAIRS = {
    "22": "DROP TRIGGER refuse ON current_state",
    "23514": "ALTER TABLE state_message DROP CONSTRAINT wholesome",
    "23505": "DROP INDEX alone",
}


def serials(tables: Tables) -> set[int]:
    query = "SELECT serial FROM state_message WHERE client_id = %s"
    return {serial for (serial,) in tables.rows(query, CLIENT)}


@pytest.mark.parametrize("sqlstate", CAUSES)
def test_the_bad_message_is_buried_alone_and_its_neighbours_are_loaded(
    sqlstate: str, amqp_url: str, database_url: str, tables: Tables
) -> None:
    CAUSES[sqlstate](tables)
    bad = message(1, topic=POISON)
    if sqlstate == "54000":
        bad = bad._replace(topic_id=LONG[0], user_sid=LONG[1])
    fill(amqp_url, neighbours_and(bad))
    drain(amqp_url, database_url)

    assert serials(tables) == set(range(1, 61)) - {37}
    assert tables.open_ranges() == [(37, 37)]
    assert ready(amqp_url) == 0, "every delivery was acked"
    (letter,) = take_all(amqp_url, DEAD)
    headers: dict[str, Any] = dict(letter.properties.headers or {})
    assert (headers[STAGE], headers[REASON], headers[QUEUE]) == ("loader", "database", NORMAL)
    assert f"SQLSTATE {sqlstate}" in headers[DETAIL]
    ((alone,),) = [one.report.messages for one in parse_batch(letter.body).smx]
    assert alone == bad._replace(serial=37)

    if sqlstate == "54000":
        # No repair makes this one fit: a replay makes it a dead letter again.
        fill(amqp_url, [letter.body])
        drain(amqp_url, database_url)
        assert [again.body for again in take_all(amqp_url, DEAD)] != []
        return
    tables.connection.execute(next(do for key, do in REPAIRS.items() if sqlstate.startswith(key)))
    fill(amqp_url, [letter.body])
    drain(amqp_url, database_url)
    assert serials(tables) == set(range(1, 61))
    assert tables.open_ranges() == []
    assert take_all(amqp_url, DEAD) == []


def test_many_bad_messages_are_buried_one_by_one(
    amqp_url: str, database_url: str, tables: Tables
) -> None:
    refuse(tables, "22023")
    bad = {3, 4, 17, 40}
    messages = [message(n, topic=POISON if n in bad else f"t{n}") for n in range(1, 41)]
    fill(amqp_url, [batch(report(*messages))])
    drain(amqp_url, database_url)
    letters = take_all(amqp_url, DEAD)
    assert {parse_batch(letter.body).smx[0].report.serials[0] for letter in letters} == bad
    assert [len(parse_batch(letter.body).smx[0].report.messages) for letter in letters] == [1] * 4
    assert serials(tables) == set(range(1, 40)) - bad


def test_a_missing_value_is_poison_too(amqp_url: str, database_url: str, tables: Tables) -> None:
    not_null(tables)
    good = message(1)._replace(details="here")
    fill(amqp_url, [batch(report(good, message(2, topic="t2")))])
    drain(amqp_url, database_url)
    (letter,) = take_all(amqp_url, DEAD)
    assert "23502" in str((letter.properties.headers or {})[DETAIL])
    assert serials(tables) == {1}


def test_poison_that_grows_when_it_is_written_again_stops_nobody(
    amqp_url: str, database_url: str, tables: Tables
) -> None:
    # In CDATA an ampersand is one byte; beside a carriage return it has to be written as five.
    refuse(tables, "22023")
    large = message(1, topic=POISON)._replace(details="\r" + "&" * 3_000_000)
    marker = "&" * 8
    rendered = render_smx(*smx(report(large._replace(details=marker), message(2))))
    escaped = marker.replace("&", "&amp;").encode()
    cdata = b"<![CDATA[" + marker.encode() + b"]]>"
    body = rendered.replace(cdata, b"&#13;<![CDATA[" + b"&" * 3_000_000 + b"]]>")
    assert escaped not in body
    fill(amqp_url, [render_batch(uuid.uuid4(), "test", [body]), batch(report(message(3)))])
    drain(amqp_url, database_url)
    assert serials(tables) == {2, 3}
    (letter,) = take_all(amqp_url, DEAD)
    assert (letter.properties.headers or {})[REASON] == "database"
    assert large in parse_batch(letter.body).smx[0].report.messages


def test_a_large_message_that_grows_when_it_is_written_again_is_loaded(
    amqp_url: str, database_url: str, tables: Tables
) -> None:
    rendered = render_smx(*smx(report(message(1)._replace(details="&&"))))
    body = rendered.replace(b"<![CDATA[&&]]>", b"&#13;<![CDATA[" + b"&" * 3_000_000 + b"]]>")
    fill(amqp_url, [render_batch(uuid.uuid4(), "test", [body])])
    drain(amqp_url, database_url)
    assert tables.rows("SELECT length(details) FROM state_message") == [(3_000_001,)]


# -- the database's own trouble -----------------------------------------------------------------


Trouble = Callable[[psycopg.Connection[Any], str], tuple[str, str]]


def _no_partition(connection: psycopg.Connection[Any], _user: str) -> tuple[str, str]:
    rows = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits "
        "WHERE inhparent = 'state_message'::regclass ORDER BY 1"
    ).fetchall()
    today = connection.execute("SELECT to_char(now(), 'YYYYMMDD')").fetchone()
    assert today is not None
    (name,) = [name for (name,) in rows if name.endswith(today[0])]
    bound = connection.execute(
        f"SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = '{name}'::regclass"
    ).fetchone()
    assert bound is not None
    return (
        f"ALTER TABLE state_message DETACH PARTITION {name}",
        f"ALTER TABLE state_message ATTACH PARTITION {name} {bound[0]}",
    )


def _no_grant(_connection: psycopg.Connection[Any], user: str) -> tuple[str, str]:
    return (
        f"REVOKE INSERT ON current_state FROM {user}",
        f"GRANT INSERT ON current_state TO {user}",
    )


def _refusing(sqlstate: str) -> Trouble:
    """The server refuses every chunk, for a reason that is not in the rows."""

    def trouble(_connection: psycopg.Connection[Any], _user: str) -> tuple[str, str]:
        breaks = f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON state_message
            FOR EACH STATEMENT EXECUTE FUNCTION refuse()"""
        return breaks, "DROP TRIGGER refuse ON state_message"

    return trouble


@pytest.mark.parametrize(
    "case",
    [
        (_no_partition, "23514"),
        (_no_grant, "42501"),
        (_refusing("25006"), "25006"),
        (_refusing("53100"), "53100"),
    ],
    ids=lambda case: case[1],
)
def test_a_database_in_trouble_is_waited_for_and_buries_nothing(
    case: tuple[Trouble, str], tmp_path: Path, amqp_url: str, limited_url: str, tables: Tables
) -> None:
    trouble, sqlstate = case
    user = urlsplit(limited_url).username or ""
    breaks, repairs = trouble(tables.connection, user)
    fill(amqp_url, [])
    log = tmp_path / "log"
    with Program(log, "loader", "run", amqp_url=amqp_url, database_url=limited_url) as loader:
        loader.await_event("loader.consuming")
        tables.connection.execute(breaks)
        fill(amqp_url, neighbours_and(message(37)))
        loader.await_event("loader.batch_set_aside", holding=sqlstate)
        assert serials(tables) == set()
        assert ready(amqp_url, DEAD) == 0
        tables.connection.execute(repairs)
        wait_until(lambda: serials(tables) == set(range(1, 61)), timeout=60, what="the load")
        assert loader.process.poll() is None
        assert ready(amqp_url, DEAD) == 0
        assert tables.law()["stored twice"] == []


def test_a_stop_while_half_of_a_poisoned_chunk_waits_gives_its_batch_back(
    tmp_path: Path, amqp_url: str, database_url: str, tables: Tables
) -> None:
    refuse(tables, "22023")
    # The statement writes rows in the order of their topics, so the poison fails first, and this
    # row when its half is loaded alone.
    tables.connection.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$; "
        "CREATE TRIGGER waits BEFORE INSERT ON current_state FOR EACH ROW "
        "WHEN (NEW.topic_id = 'waits') EXECUTE FUNCTION full_disk()"
    )
    body = batch(report(message(1, topic="waits"), message(2, topic=POISON)))
    fill(amqp_url, [body])
    log = tmp_path / "log"
    with Program(log, "loader", "run", amqp_url=amqp_url, database_url=database_url) as loader:
        loader.await_event("loader.batch_set_aside", holding="53100")
        loader.send(signal.SIGTERM)
        assert loader.end() == 0
    assert ready(amqp_url) == 1
    tables.connection.execute("DROP TRIGGER waits ON current_state")
    drain(amqp_url, database_url)
    assert serials(tables) == {1}
    assert [parse_batch(letter.body).smx[0].report.serials for letter in take_all(amqp_url, DEAD)]


def test_a_key_of_ours_that_is_taken_costs_no_message_its_place(
    open_store: Callable[..., ChunkStore], tables: Tables
) -> None:
    tables.connection.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE unique_violation USING CONSTRAINT = 'current_state_pkey'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON current_state
            FOR EACH ROW EXECUTE FUNCTION refuse()
        """
    )
    store = open_store()
    with pytest.raises(StatementFailed):
        load(store, report(message(1)))
    tables.connection.execute("DROP TRIGGER refuse ON current_state")
    assert load(store, report(message(1))).new == 1


def test_the_keys_of_ours_are_those_of_the_tables(tables: Tables) -> None:
    query = (
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indisunique AND i.indrelid = ANY (ARRAY['client', 'current_state', "
        "'missing_message_range', 'resync_request']::regclass[])"
    )
    assert {name for (name,) in tables.rows(query)} == OUR_KEYS
