"""`statesys compliance` on a site whose truth is known, client by client."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from click.testing import CliRunner

from console.compliance.cli import compliance
from console.queries import query_session
from loader.store import resyncs
from loader.store.clients import ClientStore
from loader.store.resyncs import ResyncStore
from runtime.printable import printable_text
from tests.integration.console.conftest import Run
from tests.support.world import Tables, open_tables

DEPLOYMENT, OTHER, HOSTILE_TOPIC = "{A4B5}", "{C6D7}", "=1+1\x1b[31m é"
TOPICS = ((301, DEPLOYMENT), (301, OTHER), (402, HOSTILE_TOPIC), (701, ""))
NAMES = ("NB-1", "NB-1", "=cmd|'/c calc'!A1", "\x1b[2J\ttab", "x" * 512, "", "名前")
CONDITIONS = ("complete", "gaps", "silent", "quiet", "duplicate identity")
#: Users of one machine: the machine itself, and two people.
USERS = ("", "S-1-5-21-1", "S-1-5-21-2")


class Known(NamedTuple):
    """What is true of a client: states are (type, topic, user) -> (state id, minutes ago)."""

    client_id: UUID
    name: str
    condition: str
    states: dict[tuple[int, str, str], tuple[int, int]]

    def told(self, topic_type: int, topic_id: str | None) -> dict[int, int]:
        """State id -> minutes since when the client has it, in a topic or in any of a type."""
        found: dict[int, int] = {}
        for (kind, topic, _), (state, ago) in self.states.items():
            if kind == topic_type and topic_id in (None, topic):
                found[state] = max(ago, found.get(state, 0))
        return found


def a_site(seed: int, clients: int = 60) -> list[Known]:
    """Clients in every condition, that told of some topics, of some for several users."""
    dice = Random(seed)
    made = []
    for number in range(clients):
        states = {}
        for kind, topic in TOPICS:
            for user in dice.choice((("",), ("",), USERS, USERS[1:], ())):
                states[kind, topic, user] = (dice.choice((3, 4, 6, 4_000_000_000)), number)
        client_id = UUID(int=dice.getrandbits(128), version=4)
        made.append(Known(client_id, dice.choice(NAMES), dice.choice(CONDITIONS), states))
    return sorted(made, key=lambda one: one.client_id)


def write(tables: Tables, site: list[Known]) -> None:
    """Write what loaders would have left of these clients."""
    run = tables.connection.execute
    for one in site:
        what = {"id": one.client_id, "name": one.name, "condition": one.condition}
        run(
            "INSERT INTO client (client_id, name, last_seen, duplicate_identity_at) "
            "SELECT %(id)s, %(name)s, CASE WHEN %(condition)s IN ('quiet', 'silent') "
            "THEN now() - interval '30 days' ELSE now() END, "
            "CASE WHEN %(condition)s = 'duplicate identity' THEN now() END",
            what,
        )
        if one.condition == "gaps":
            run(
                "INSERT INTO missing_message_range (client_id, first_serial, last_serial, "
                "detected_at) VALUES (%(id)s, 1, 2, now()), (%(id)s, 4, 4, now())",
                what,
            )
        if one.condition == "silent":
            run(
                "INSERT INTO resync_request (client_id, request_id, reason, requested_at, sent_at, "
                "closed_at, closed_how, attempts) SELECT %(id)s, gen_random_uuid(), 'missing', "
                "at, at, at + interval '2 d', 'unanswered', 1 "
                "FROM generate_series(4, 12, 4) n, "
                "LATERAL (SELECT now() - n * interval '1 d') moment(at)",
                what,
            )
        for (kind, topic, user), (state, ago) in one.states.items():
            run(
                "INSERT INTO current_state (client_id, topic_type, topic_id, user_sid, state_id, "
                "criticality, message_time, digest, params) VALUES (%s, %s, %s, %s, %s, 0, "
                "date_trunc('day', now()) - %s * interval '1 min', %s, '{}')",
                [one.client_id, kind, topic, user, state, ago, bytes(16)],
            )


def numbers(clients: list[Known]) -> dict[str, Any]:
    """Clients by condition, as the command's JSON has them."""
    counts = dict.fromkeys(CONDITIONS, 0)
    for one in clients:
        counts[one.condition] += 1
    return {"clients": len(clients), "conditions": counts}


def truth(site: list[Known], topic_type: int, topic_id: str | None) -> dict[str, Any]:
    """The numbers that the command must show."""
    told = {one.client_id: one.told(topic_type, topic_id) for one in site}
    states = sorted({state for found in told.values() for state in found})
    return {
        "states": {s: numbers([one for one in site if s in told[one.client_id]]) for s in states},
        "told": numbers([one for one in site if told[one.client_id]]),
        "never": numbers([one for one in site if not told[one.client_id]]),
        "all": numbers(site),
    }


@pytest.fixture
def tables(database_url: str) -> Iterator[Tables]:
    with open_tables(database_url) as found:
        yield found


@pytest.fixture
def count_kept(database_url: str) -> Iterator[Callable[[], None]]:
    """Count as a loader does, whatever was counted before."""
    store = ResyncStore(database_url, name="test")

    def count() -> None:
        assert store.keep_state_totals(now=store.now(), interval=timedelta(0))

    yield count
    store.close()


@pytest.fixture(params=["small", "large", "large, and never counted", "large, with large topics"])
def any_site(
    request: pytest.FixtureRequest,
    tables: Tables,
    count_kept: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> list[Known]:
    """A site, on each way by which its clients are counted; each must tell the same."""
    site = a_site(seed=7)
    write(tables, site)
    if request.param.startswith("large"):
        monkeypatch.setattr(query_session, "COUNTED_BYTES", -1)
    if request.param.endswith("large topics"):
        monkeypatch.setattr(resyncs, "SMALL_TOPIC", 1)
    if not request.param.endswith("never counted"):
        count_kept()
    return site


def asked(invoke: Callable[..., str], *arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(invoke(*arguments, "--json"))
    return found


@pytest.fixture
def invoke(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[..., str]:
    """Run the command in this process, where a test may make the tables "large"."""
    monkeypatch.setenv("STATESYS_DATABASE_URL", database_url)
    monkeypatch.setenv("STATESYS_HOME", str(tmp_path))

    def call(*arguments: object) -> str:
        done = CliRunner().invoke(compliance, [*map(str, arguments)])
        assert done.exit_code == 0, done.stderr
        return done.stdout

    return call


def test_counts_and_completeness_are_the_truth(
    any_site: list[Known], invoke: Callable[..., str]
) -> None:
    types = {topic_type: (topic_type, None) for topic_type, _ in TOPICS}
    for topic_type, topic_id in [*types.values(), *TOPICS, (301, "unknown"), (4242, None)]:
        found = asked(invoke, topic_type, *([] if topic_id is None else [topic_id]))
        states = {
            row["state_id"]: {"clients": row["clients"], "conditions": row["conditions"]}
            for row in found["states"]
        }
        shown = {"states": states, **{key: found[key] for key in ("told", "never", "all")}}
        assert shown == truth(any_site, topic_type, topic_id), (topic_type, topic_id)


@pytest.mark.parametrize("topic_id", [None, DEPLOYMENT])
@pytest.mark.parametrize("state", ["3", "6", "4000000000", "never"])
@pytest.mark.parametrize("kept", [False, True])
def test_the_clients_of_a_state_are_the_truth_client_by_client_and_page_by_page(
    tables: Tables,
    invoke: Callable[..., str],
    count_kept: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    topic_id: str | None,
    state: str,
    kept: bool,
) -> None:
    site = a_site(seed=11)
    write(tables, site)
    if kept:
        monkeypatch.setattr(query_session, "COUNTED_BYTES", -1)
        monkeypatch.setattr(resyncs, "SMALL_TOPIC", 1)
        count_kept()
    midnight = tables.rows("SELECT date_trunc('day', now())")[0][0]
    expected = []
    for one in site:
        told = one.told(301, topic_id)
        if state == "never" and not told:
            expected.append((str(one.client_id), one.name, one.condition, None))
        elif state != "never" and int(state) in told:
            since = midnight - timedelta(minutes=told[int(state)])
            expected.append((str(one.client_id), one.name, one.condition, since.isoformat()))
    topic = [] if topic_id is None else [topic_id]
    listed: list[tuple[Any, ...]] = []
    after: list[str] = []
    while True:
        page = asked(invoke, 301, *topic, "--clients", state, "--limit", 7, *after)
        listed += [
            (row["client_id"], row["name"], row["condition"], row["since"])
            for row in page["clients"]
        ]
        if page["next_after"] is None:
            break
        assert len(page["clients"]) == 7
        after = ["--after", page["next_after"]]
    assert listed == expected
    assert expected


def test_a_state_may_be_negative(tables: Tables, invoke: Callable[..., str]) -> None:
    client = UUID(int=1, version=4)
    write(tables, [Known(client, "PC", "complete", {(301, "", ""): (-(2**31), 0)})])
    (found,) = asked(invoke, 301, "--clients", -(2**31))["clients"]
    assert found["client_id"] == str(client)


def test_a_state_and_a_type_may_be_given_by_name(
    tables: Tables, invoke: Callable[..., str]
) -> None:
    site = a_site(seed=13)
    write(tables, site)
    by_id = asked(invoke, 301, "--clients", 6)["clients"]
    for topic in ("STATE_TOPICTYPE_SUM_ASSIGNMENT_ENFORCEMENT", "sum_assignment_enforcement"):
        named = asked(invoke, topic, "--clients", "FAILED to install UPDATE(s)")
        assert named["clients"] == by_id
        assert asked(invoke, topic)["topic_type"] == 301


def test_kept_numbers_say_of_when_they_are(
    tables: Tables,
    invoke: Callable[..., str],
    count_kept: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = a_site(seed=17)
    write(tables, site)
    monkeypatch.setattr(query_session, "COUNTED_BYTES", -1)
    count_kept()
    tables.connection.execute("UPDATE state_totals SET as_of = now() - interval '25 min'")
    tables.connection.execute("DELETE FROM current_state")
    found = asked(invoke, 301)
    assert found["counted_now"] is False
    assert found["told"]["clients"] == truth(site, 301, None)["told"]["clients"]
    assert "25 min" in invoke(301)
    # The new count takes the place of the old one, down to the last row.
    count_kept()
    assert asked(invoke, 301)["told"]["clients"] == 0
    kept = tables.rows("SELECT DISTINCT topic_type, topic_id, state_id FROM state_totals")
    assert kept == [(None, None, None)]


def test_on_a_large_site_the_few_clients_of_a_state_are_those_of_the_count_that_still_have_it(
    tables: Tables,
    invoke: Callable[..., str],
    count_kept: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
) -> None:
    write(tables, a_site(seed=29))
    monkeypatch.setattr(query_session, "COUNTED_BYTES", -1)
    monkeypatch.setattr(resyncs, "SMALL_TOPIC", 1)

    def listed(*arguments: object) -> list[str]:
        found = asked(invoke, 301, "--clients", 6, *arguments)
        return [row["client_id"] for row in found["clients"]]

    count_kept()
    before = listed()
    gone, forgotten, *others = before
    tables.connection.execute("UPDATE current_state SET state_id = 3 WHERE client_id = %s", [gone])
    with closing(ClientStore(database_url)) as clients:
        clients.forget(UUID(forgotten))
    naming = "SELECT FROM rare_state WHERE client_ids @> ARRAY[%s::uuid]"
    assert tables.rows(naming, forgotten) == []
    [(newcomer,)] = tables.rows(
        "INSERT INTO current_state (client_id, topic_type, topic_id, user_sid, state_id, "
        "criticality, message_time, digest, params) SELECT client_id, 301, 'new', '', 6, 0, now(), "
        "'', '{}' FROM client WHERE client_id <> ALL(%s::uuid[]) LIMIT 1 RETURNING client_id::text",
        before,
    )
    assert listed() == others
    assert listed("--now") == sorted([*others, newcomer])
    count_kept()
    assert listed() == sorted([*others, newcomer])
    # Of a state that many have, no clients are kept.
    monkeypatch.setattr(resyncs, "RARE", 1)
    count_kept()
    assert tables.rows(naming + " AND topic_id IS NULL", newcomer) == []
    tables.connection.execute("DELETE FROM current_state WHERE client_id = %s", [newcomer])
    assert listed() == others


def test_on_a_large_site_where_all_told_at_the_count_none_is_listed_that_never_told(
    tables: Tables,
    invoke: Callable[..., str],
    count_kept: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tables, [one for one in a_site(seed=31) if one.told(301, None)])
    monkeypatch.setattr(query_session, "COUNTED_BYTES", -1)
    count_kept()
    tables.connection.execute("INSERT INTO client (client_id, name) VALUES (gen_random_uuid(), '')")
    assert asked(invoke, 301, "--clients", "never")["clients"] == []
    assert len(asked(invoke, 301, "--clients", "never", "--now")["clients"]) == 1


def test_topics_of_few_clients_leave_no_rows(
    tables: Tables, count_kept: Callable[[], None]
) -> None:
    write(tables, a_site(seed=19, clients=10))
    count_kept()
    assert tables.rows("SELECT count(*) FROM state_totals WHERE topic_id IS NOT NULL") == [(0,)]
    assert tables.rows("SELECT count(*) > 0 FROM state_totals WHERE topic_type = 301") == [(True,)]


def test_the_table_has_the_completeness_beside_each_count(
    tables: Tables, run: Run, environment: dict[str, str]
) -> None:
    site = a_site(seed=23)
    write(tables, site)
    done = run("compliance", 301, DEPLOYMENT, env=environment)
    expected = truth(site, 301, DEPLOYMENT)
    lines = [line.split() for line in done.stdout.splitlines()]
    for name, row in (("never", expected["never"]), ("all", expected["all"])):
        (line,) = [words for words in lines if words[:1] == [name]]
        assert line[2:] == [str(row["clients"]), *(str(n) for n in row["conditions"].values())]
    assert f"of {len(site)} clients" in done.stdout
    assert "; as of 20" in done.stdout
    assert "301: " in done.stdout
    assert "counts once in each state" in done.stderr


def test_csv_is_harmless_and_names_with_control_characters_are_shown_visibly(
    tables: Tables, run: Run, environment: dict[str, str]
) -> None:
    site = a_site(seed=29)
    write(tables, site)
    text = run("compliance", 301, "--clients", "never", "--csv", env=environment).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    never = [one for one in site if not one.told(301, None)]
    assert [row["client_id"] for row in rows] == [str(one.client_id) for one in never]
    assert all(not row["name"].startswith(("=", "+", "-", "@", "\t")) for row in rows)
    table = run("compliance", 402, HOSTILE_TOPIC, "--clients", 3, env=environment).stdout
    assert "\x1b" not in table + run("compliance", 402, HOSTILE_TOPIC, env=environment).stdout
    counts = run("compliance", 402, HOSTILE_TOPIC, "--csv", env=environment).stdout
    told = {row["topic_id"] for row in csv.DictReader(io.StringIO(counts))}
    assert told == {f"'{printable_text(HOSTILE_TOPIC)}"}


def test_of_an_empty_site_everything_is_zero(run: Run, environment: dict[str, str]) -> None:
    found = json.loads(run("compliance", 301, "--json", env=environment).stdout)
    assert found["states"] == []
    assert found["all"]["clients"] == 0
    assert (
        "of 0 clients 0 are complete up to their last report; as of"
        in run("compliance", 301, "x", env=environment).stdout
    )
    for state in ("6", "never"):
        listed = run("compliance", 301, "--clients", state, env=environment)
        assert listed.returncode == 0
        assert "0 clients" in listed.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonsense",), "neither a number nor a topic"),
        ((2**31,), "too large"),
        (("-1",), "No such option"),
        ((301, "--clients", "nonsense"), "known are: 0 Enforcement state unknown"),
        ((301, "--clients", "99"), "known are: 0 Enforcement state unknown"),
        ((301, "--clients", 2**63), "known are"),
        ((4242, "--clients", "1"), "known are: never"),
        ((301, "--limit", "5"), "need --clients"),
        ((301, "--clients", "6", "--after", "GUID:x"), "no client id"),
        ((301, "--clients", "6", "--limit", "0"), "range"),
        ((301, "--json", "--csv"), "exclude each other"),
        ((301, "\udcff"), "not valid UTF-8"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(
    run: Run, environment: dict[str, str], arguments: tuple[object, ...], words: str
) -> None:
    done = run("compliance", *arguments, env=environment)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_an_uncatalogued_state_that_clients_have_is_known(
    tables: Tables, run: Run, environment: dict[str, str]
) -> None:
    write(tables, a_site(seed=31))
    done = run("compliance", 301, "--clients", 77, env=environment)
    assert done.returncode == 2
    assert "4000000000, never" in " ".join(done.stderr.split())
