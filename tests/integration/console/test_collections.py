"""`statesys collections`: made by operators, evaluated by loaders, listed at this moment."""

import csv
import inspect
import io
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from console.queries import collections as queries
from loader.store.collections import CollectionStore
from runtime.collection_rules import parse_rule
from runtime.statements import statements
from tests.integration.console.conftest import Run
from tests.support.paths import ROOT
from tests.support.processes import Program
from tests.support.waiting import wait_until
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


def test_all_clients_waiting_for_another_installation(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    # Of an assignment (301), or of one update in it (402): two topic types have a state so called.
    add(tables, 1, states=((301, "a", 3),))
    add(tables, 2, states=((402, "u", 3), (402, "v", 10)))
    add(tables, 3, states=((301, "a", 4), (402, "u", 10), (500, "u", 3)))
    (line,) = [
        line
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("statesys collections create Waiting ")
    ]
    assert run(*shlex.split(line)[1:], env=environment).returncode == 0
    assert names(run, environment, "Waiting") == ["PC1", "PC2"]


def test_an_evaluation_notes_who_joins_and_who_leaves_and_touches_nothing_else(
    run: Run, environment: dict[str, str], tables: Tables, store: CollectionStore
) -> None:
    one, two = (add(tables, n, states=((301, "a", 3),)) for n in (1, 2))
    three = add(tables, 3, states=((301, "a", 4),))
    run("collections", "create", "Waiting", WAITING, env=environment)
    start = store.now()
    assert store.evaluate_next(now=start, interval=EVERY) == ("Waiting", 2, 0, None)
    assert store.evaluate_next(now=start, interval=EVERY) is None
    before = tables.rows("SELECT xmin, client_id FROM collection_member ORDER BY 2")
    move(tables, two, 301, "a", 4)
    move(tables, three, 301, "a", 3)
    later = start + EVERY
    assert store.evaluate_next(now=later, interval=EVERY) == ("Waiting", 1, 1, None)
    assert tables.rows("SELECT client_id, joined_at FROM collection_member ORDER BY 1") == [
        (one, start),
        (three, later),
    ]
    assert tables.rows("SELECT xmin, client_id FROM collection_member ORDER BY 2")[0] == before[0]
    (listed,) = document(run("collections", "list", "--json", env=environment))["collections"]
    assert (listed["members"], listed["evaluated_at"]) == (2, later.isoformat())


def test_who_joined_in_the_last_hour_is_told(
    run: Run, environment: dict[str, str], tables: Tables, store: CollectionStore
) -> None:
    add(tables, 1, states=((301, "a", 3),))
    run("collections", "create", "Waiting", WAITING, env=environment)
    store.evaluate_next(now=store.now() - 3 * 12 * EVERY, interval=EVERY)
    late = add(tables, 2, states=((301, "a", 3),))
    # Before an evaluation has met it, and after.
    assert names(run, environment, "Waiting", "--joined-since", "1h") == ["PC2"]
    store.evaluate_next(now=store.now() - EVERY, interval=EVERY)
    assert names(run, environment, "Waiting", "--joined-since", "1h") == ["PC2"]
    assert names(run, environment, "Waiting", "--joined-since", "1m") == []
    assert names(run, environment, "Waiting", "--joined-since", "1d") == ["PC1", "PC2"]
    # One that is a member no longer is not listed, whatever was noted.
    move(tables, late, 301, "a", 4)
    assert names(run, environment, "Waiting", "--joined-since", "1h") == []


def test_the_interval_is_that_of_a_collection_and_a_new_one_comes_first(
    store: CollectionStore, tables: Tables
) -> None:
    add(tables, 1)
    store.create("one", "seen < 1d")
    now = store.now()
    assert store.evaluate_next(now=now, interval=EVERY)
    store.create("two", "seen < 1d")
    found = store.evaluate_next(now=now + EVERY, interval=EVERY)
    assert (found and found.name) == "two"
    found = store.evaluate_next(now=now + EVERY, interval=EVERY)
    assert (found and found.name) == "one"
    # The clock was ahead and was set back.
    assert store.evaluate_next(now=now - 2 * EVERY, interval=EVERY) is not None


def test_a_collection_that_takes_long_is_evaluated_less_often(
    store: CollectionStore, tables: Tables
) -> None:
    store.create("one", "seen < 1d")
    now = store.now()
    assert store.evaluate_next(now=now, interval=EVERY)
    tables.connection.execute("UPDATE collection SET took = '1 min'")
    assert store.evaluate_next(now=now + 9 * MINUTE, interval=EVERY) is None
    assert store.evaluate_next(now=now + 10 * MINUTE, interval=EVERY) is not None


def test_two_loaders_share_the_collections(store: CollectionStore, tables: Tables) -> None:
    for name in ("one", "two"):
        store.create(name, "seen < 1d")
    with tables.connection.transaction():
        tables.rows("SELECT id FROM collection WHERE name = 'one' FOR NO KEY UPDATE")
        now = store.now()
        found = store.evaluate_next(now=now, interval=EVERY)
        assert (found and found.name) == "two"
        assert store.evaluate_next(now=now, interval=EVERY) is None


def test_a_rule_that_cannot_be_read_or_run_holds_up_no_other(
    run: Run, environment: dict[str, str], tables: Tables, store: CollectionStore
) -> None:
    add(tables, 1)
    store.create("newer", "owner = 'me'")
    store.create("older", "seen < 1d")
    now = store.now()
    newer = store.evaluate_next(now=now, interval=EVERY)
    assert newer is not None
    assert newer.problem is not None
    assert "column 1: expected" in newer.problem
    assert store.evaluate_next(now=now, interval=EVERY) == ("older", 1, 0, None)
    assert store.evaluate_next(now=now, interval=EVERY) is None
    listed = run("collections", "list", env=environment)
    assert "this version cannot read the rule: column 1" in listed.stdout
    shown = run("collections", "show", "newer", env=environment)
    assert (shown.returncode, "this version cannot read the rule" in shown.stdout) == (0, True)
    members = run("collections", "members", "newer", env=environment)
    assert (members.returncode, members.stdout) == (1, "")
    assert "this version cannot read the rule of collection newer" in members.stderr
    # The database refuses to evaluate one: the others go on.
    tables.connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RAISE EXCEPTION ''not today''; END'"
    )
    tables.connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON collection_member EXECUTE FUNCTION refuse()"
    )
    store.create("a", "seen < 1d")
    store.create("b", "seen > 1d")
    found = [store.evaluate_next(now=now, interval=EVERY) for _ in range(3)]
    assert [one and (one.name, one.problem and "not today" in one.problem) for one in found] == [
        ("a", True),
        ("b", True),
        None,
    ]


def test_another_rule_keeps_those_who_fulfil_it_too(
    run: Run, environment: dict[str, str], tables: Tables, store: CollectionStore
) -> None:
    one = add(tables, 1, name="A1")
    add(tables, 2, name="B1")
    run("collections", "create", "Some", "name like '*'", env=environment)
    start = store.now()
    store.evaluate_next(now=start, interval=EVERY)
    again = run("collections", "create", "SOME", "name like 'A*'", env=environment)
    assert (again.returncode, again.stdout) == (2, "")
    assert "there is a collection 'SOME' already; --replace" in again.stderr
    assert document(run("collections", "show", "some", "--json", env=environment))["members"] == 2
    replaced = run("collections", "create", "SOME", "name like 'A*'", "--replace", env=environment)
    assert replaced.returncode == 0
    assert names(run, environment, "some") == ["A1"]
    assert store.evaluate_next(now=start + MINUTE, interval=EVERY) == ("SOME", 0, 1, None)
    assert tables.rows("SELECT client_id, joined_at FROM collection_member") == [(one, start)]


def test_deleting_one_leaves_the_others_and_all_clients(
    run: Run, environment: dict[str, str], tables: Tables, store: CollectionStore
) -> None:
    add(tables, 1)
    for name in ("one", "two"):
        store.create(name, "seen < 1d")
        store.evaluate_next(now=store.now(), interval=EVERY)
    assert run("collections", "delete", "one", "--yes", env=environment).returncode == 0
    assert names(run, environment, "two") == ["PC1"]
    assert len(tables.rows("SELECT FROM collection_member")) == 1
    unknown = run("collections", "delete", "one", "--yes", env=environment)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "there is no collection 'one'" in unknown.stderr


def test_a_client_that_is_forgotten_leaves_its_collections(
    run: Run, environment: dict[str, str], tables: Tables, store: CollectionStore
) -> None:
    gone = add(tables, 1)
    add(tables, 2)
    store.create("one", "seen < 1d")
    store.evaluate_next(now=store.now(), interval=EVERY)
    assert run("client", "forget", gone, "--yes", env=environment).returncode == 0
    assert tables.rows("SELECT client_id FROM collection_member") == [(client(2),)]


def test_pages_follow_each_other_without_gap_and_overlap(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    for number in range(1, 8):
        add(tables, number, name="same")
    run("collections", "create", "All", "seen < 1d", env=environment)
    found, after = [], None
    for _ in range(4):
        more = () if after is None else ("--after", after)
        page = document(
            run("collections", "members", "All", "--limit", "3", "--json", *more, env=environment)
        )
        found += [member["client_id"] for member in page["members"]]
        after = page["next_after"]
        if after is None:
            break
    assert found == [str(client(number)) for number in range(1, 8)]
    told = run("collections", "members", "All", "--limit", "3", env=environment).stderr
    assert told.startswith("3 members; as of 2")
    assert told.endswith(f"there are more: --after {client(3)}\n")


def test_the_members_of_the_last_evaluation_are_listed_page_by_page(
    run: Run, environment: dict[str, str], tables: Tables, store: CollectionStore, database_url: str
) -> None:
    for number in range(1, 8):
        add(tables, number, states=((301, "a", 3),), gap=number == 7)
    run("collections", "create", "Waiting", WAITING, env=environment)
    start = store.now()
    store.evaluate_next(now=start, interval=EVERY)
    with queries.CollectionQueries.open(database_url, name="test") as asked:
        collection = asked.collection("waiting")
        assert collection is not None
        everybody = asked.members(collection, parse_rule(WAITING))
        assert asked.evaluated_members(collection) == everybody
        assert asked.evaluated_members(collection, limit=3) == everybody[:3]
        assert asked.evaluated_members(collection, after=client(3)) == everybody[3:]
        # A client that is no longer in the state stays a member until the next evaluation.
        move(tables, client(1), 301, "a", 4)
        assert asked.evaluated_members(collection) == everybody
        add(tables, 8, states=((301, "a", 3),))
        store.evaluate_next(now=start + EVERY, interval=EVERY)
        (joined,) = asked.evaluated_members(collection, joined_since=start + EVERY)
        assert joined.client_id == client(8)
    assert names(run, environment, "Waiting", "--now") == [f"PC{n}" for n in range(2, 9)]


def test_names_of_clients_do_no_harm(run: Run, environment: dict[str, str], tables: Tables) -> None:
    hostile = ["=1+1", "\x1b[31mred", "x" * 5000, 'a,b"c\r\nd', "[bold]n"]
    for number, name in enumerate(hostile, 1):
        add(tables, number, name=name)
    run("collections", "create", "All", "seen < 1d", env=environment)
    table = run("collections", "members", "All", env=environment)
    assert (table.returncode, "\x1b" in table.stdout) == (0, False)
    assert "[bold]n" in table.stdout
    assert names(run, environment, "All") == hostile
    done = run("collections", "members", "All", "--csv", env=environment)
    rows = list(csv.reader(io.StringIO(done.stdout, newline="")))
    assert rows[0] == ["name", "id", "last_seen", "condition", "joined_at"]
    assert rows[1][0] == "'=1+1"
    assert [row[1] for row in rows[1:]] == [str(client(n)) for n in range(1, 6)]


def test_an_empty_site_has_no_members_and_says_so(
    run: Run, environment: dict[str, str], store: CollectionStore
) -> None:
    listed = run("collections", "list", env=environment)
    assert (listed.returncode, "0 collections; as of" in listed.stderr) == (0, True)
    run("collections", "create", "All", "seen < 1d", env=environment)
    shown = run("collections", "show", "All", env=environment)
    assert (shown.returncode, "of 0 clients 0 are complete" in shown.stdout) == (0, True)
    assert store.evaluate_next(now=store.now(), interval=EVERY) == ("All", 0, 0, None)
    members = run("collections", "members", "All", env=environment)
    assert (members.returncode, "0 members; as of" in members.stderr) == (0, True)


def test_the_completeness_of_the_members_is_a_sentence(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    add(tables, 1)
    add(tables, 2, gap=True)
    add(tables, 3, seen=timedelta(hours=2))
    run("collections", "create", "All", "name like 'PC?'", env=environment)
    shown = run("collections", "show", "All", env=environment).stdout
    assert "of 3 clients 1 is complete up to its last report, 1 has gaps, 1 is quiet" in shown


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("a b", WAITING, "'a b' is no name of a collection: letters A to Z, digits and dashes"),
        ("x" * 65, WAITING, "is no name of a collection"),
        ("Ärger", WAITING, "is no name of a collection"),
        ("x'; --", WAITING, "is no name of a collection"),
        ("x", "", "a rule is missing"),
        ("x", "state(301) 3", "column 12: expected in, =; '3' stands there"),
        ("x", "state(301) = 'Waiting'", "column 14: 'Waiting' may be several states"),
        ("x", "state(301) = 'Broken'", "there are 0 'Enforcement state unknown'"),
        ("x", "condition = dead", "column 13: expected a condition such as gaps"),
        ("x", "seen < 7d or", "column 13: expected all, any, condition"),
        ("x", "seen < 1d" + " " * 4000, "at most 4,000 characters"),
        ("x", " and ".join(["seen<1d"] * 51), "at most 50 terms"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_is_allowed(
    run: Run, environment: dict[str, str], name: str, rule: str, words: str
) -> None:
    done = run("collections", "create", name, rule, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert document(run("collections", "list", "--json", env=environment))["collections"] == []


@pytest.mark.parametrize("command", ["show", "members"])
def test_an_unknown_collection_is_a_sentence(
    run: Run, environment: dict[str, str], command: str
) -> None:
    done = run("collections", command, "nothing", env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no collection 'nothing': see `statesys collections list`" in done.stderr


def test_a_loader_evaluates_what_was_made(
    amqp_url: str, database_url: str, tables: Tables, store: CollectionStore, tmp_path: Path
) -> None:
    add(tables, 1)
    store.create("All", "seen < 1d")
    log = tmp_path / "log"
    with Program(log, "loader", "run", amqp_url=amqp_url, database_url=database_url):
        wait_until(lambda: tables.rows("SELECT FROM collection_member"), what="the first member")


def test_every_named_query_is_asked_and_says_what_for() -> None:
    source = inspect.getsource(queries)
    for name, text in statements("console.queries", "collections.sql").items():
        assert f'"{name}"' in source, name
        assert text.startswith("-- "), name
        assert not re.search(r"\b(insert|update|delete|truncate)\b", text, re.IGNORECASE), name
