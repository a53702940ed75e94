"""`statesys clients` lists each client once, in its order, and says of how many all is there."""

import csv
import io
import json
from collections import Counter
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg
import pytest

from console.queries import Queries, query_session
from console.queries.clients import ClientFilter, ClientKey, Condition, Order
from loader.store.resyncs import ResyncStore
from loader.tasks import TOTALS_INTERVAL
from tests.integration.console.conftest import Run
from tests.support.conditions import COUNTS, client_id, fill, name

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def truth(database_url: str) -> dict[UUID, str]:
    return fill(database_url)


def listed(run: Run, environment: dict[str, str], *arguments: object) -> dict[str, Any]:
    found = json.loads(run("clients", "--json", *arguments, env=environment).stdout)
    assert isinstance(found, dict)
    return found


def test_which_clients_are_in_which_condition(
    run: Run, environment: dict[str, str], truth: dict[UUID, str]
) -> None:
    everything = listed(run, environment)
    assert {UUID(one["client_id"]): one["condition"] for one in everything["clients"]} == truth
    for condition in COUNTS:
        found = listed(run, environment, "--condition", condition)
        assert {UUID(one["client_id"]) for one in found["clients"]} == {
            client for client, known in truth.items() if known == condition
        }
        assert found["completeness"].pop("as_of") == found["as_of"]
        assert found["completeness"] == COUNTS


def test_beside_each_list_stands_how_many_are_complete(
    run: Run, environment: dict[str, str], truth: dict[UUID, str]
) -> None:
    told = run("clients", env=environment).stderr
    assert len(truth) == 15
    assert (
        "of 15 clients 5 are complete up to their last report, 4 have gaps, 3 are silent, "
        "2 are quiet, 1 has a duplicate identity; as of 20"
    ) in told


def test_an_empty_site_says_so(run: Run, environment: dict[str, str]) -> None:
    done = run("clients", env=environment)
    assert "of 0 clients 0 are complete" in done.stderr
    assert done.returncode == 0


@pytest.mark.usefixtures("truth")
@pytest.mark.parametrize("order", ["name", "seen", "id"])
def test_pages_are_the_list(run: Run, environment: dict[str, str], order: str) -> None:
    whole = [one["client_id"] for one in listed(run, environment, "--sort", order)["clients"]]
    pages: list[str] = []
    after: list[object] = []
    while True:
        page = listed(run, environment, "--sort", order, "--limit", 4, *after)
        pages += [one["client_id"] for one in page["clients"]]
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    assert pages == whole
    assert len(set(pages)) == 15


@pytest.mark.usefixtures("truth")
def test_filters_restrict_the_list_together(run: Run, environment: dict[str, str]) -> None:
    def names(*arguments: object) -> list[str]:
        return [one["name"] for one in listed(run, environment, *arguments)["clients"]]

    assert names("--name", "Pc-00*") == [name(number) for number in range(10)]
    assert names("--name", "PC-0_0*") == []
    assert names("--version", "5.00.9003.*") == [name(3)]
    assert names("--stale", "2d") == [name(12), name(13)]
    assert names("--stale", "2d", "--name", "*13") == [name(13)]
    assert names("--name", "*C-00*") == [name(number) for number in range(10)]
    assert names("--name", "*%00*") == []
    assert names("--stale", "10d") == []


@pytest.mark.usefixtures("truth")
def test_the_index_of_name_parts_changes_no_list(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["abc*def", "ABC", "xabcx", "ab", "", "%abc_", "éabcÉ", "İstanbul-1", "a*bc", "ab\\c1"]
    with psycopg.connect(database_url) as connection:
        for number, one in enumerate(names):
            connection.execute(
                "UPDATE statesys.client SET name = %s WHERE client_id = %s",
                [one, client_id(number)],
            )
    texts = [
        "abc",
        "bc*d",
        "c*def",
        "*",
        "a*b*c",
        "%abc",
        "éabcé",
        "stanbul",
        "İstan",
        "b\\c1",
        "zzz",
    ]
    with Queries.open(database_url, name="test") as queries:
        for pattern in [f"*{text}{end}" for text in texts for end in ("", "*")]:
            found = []
            for helps in (True, False):
                monkeypatch.setattr("console.queries.clients._has_parts", lambda _, h=helps: h)
                found.append(queries.clients(ClientFilter(name=pattern)))
            assert found[0] == found[1], pattern


@pytest.mark.usefixtures("truth")
@pytest.mark.parametrize("pattern", ["*ürich*", "*ÜRICH-*", "*RICH-?", "zü*", "*H-1"])
def test_letters_beyond_ascii_have_cases_too(
    run: Run, environment: dict[str, str], database_url: str, pattern: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE statesys.client SET name = 'ZÜRICH-1' WHERE client_id = %s", [client_id(3)]
        )
    found = [one["name"] for one in listed(run, environment, "--name", pattern)["clients"]]
    assert found == ([] if "?" in pattern else ["ZÜRICH-1"])


@pytest.mark.usefixtures("truth")
def test_a_name_stands_for_its_client_in_every_command(
    run: Run, environment: dict[str, str]
) -> None:
    for command in ("states", "trace", "gaps"):
        assert run(command, "pc-000", "--json", env=environment).returncode == 0, command
    done = run("resync", "request", "PC-000", env=environment)
    assert str(UUID(done.stdout.strip())) == done.stdout.strip()
    assert run("client", "forget", "Pc-000", "--yes", env=environment).returncode == 0
    done = run("states", "pc-000", env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no client is named 'pc-000'; `statesys clients --name 'p*'`" in done.stderr


def test_of_several_machines_of_one_name_one_has_to_be_chosen(
    run: Run, environment: dict[str, str], database_url: str, truth: dict[UUID, str]
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE statesys.client SET name = 'twin', version = E'=5\\e[2J'")
    done = run("states", "TWIN", env=environment)
    assert done.returncode == 2
    assert "15 machines are named 'TWIN'" in done.stderr
    assert all(str(client) in done.stderr for client in truth)
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("given", ["GUID:no", "", "a\tb", "x" * 600])
def test_what_is_neither_id_nor_name_is_refused(
    run: Run, environment: dict[str, str], given: str
) -> None:
    assert run("states", given, env=environment).returncode == 2


def test_a_list_for_a_spreadsheet_runs_no_formula(
    run: Run, environment: dict[str, str], database_url: str, truth: dict[UUID, str]
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE statesys.client SET name = '=HYPERLINK(\"x\")'")
    done = run("clients", "--csv", env=environment)
    columns, *rows = csv.reader(io.StringIO(done.stdout, newline=""))
    assert columns[:2] == ["name", "id"]
    assert {row[0] for row in rows} == {'\'=HYPERLINK("x")'}
    assert Counter(row[5] for row in rows) == COUNTS
    assert len(truth) == len(rows)


def test_on_a_large_site_the_counts_are_as_old_as_they_say(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database_url)
    store = ResyncStore(database_url, name="test")
    now = store.now()
    assert store.keep_state_totals(now=now, interval=TOTALS_INTERVAL)
    assert not store.keep_state_totals(now=now, interval=TOTALS_INTERVAL)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE statesys.client SET duplicate_identity_at = now()")
    monkeypatch.setattr(query_session, "COUNTED_BYTES", -1)
    with Queries.open(database_url, name="test") as queries:
        kept = queries.completeness()
        assert (kept.as_of, dict(kept.clients)) == (now, COUNTS)
    assert store.keep_state_totals(now=now + TOTALS_INTERVAL, interval=TOTALS_INTERVAL)
    store.close()
    with Queries.open(database_url, name="test") as queries:
        assert queries.completeness().clients == {"duplicate identity": 15}


@pytest.mark.parametrize("order", Order)
def test_a_list_is_the_same_whether_few_or_many_are_known_to_be_in_a_condition(
    database_url: str, order: Order
) -> None:
    fill(database_url)
    with Queries.open(database_url, name="test") as queries:

        def lists() -> dict[tuple[str, str], list[list[UUID]]]:
            """The pages of each condition, by names and without."""
            found = {}
            for condition in Condition:
                for name in ("*", "*0*1*"):
                    chosen, pages = ClientFilter(condition=condition, name=name), []
                    after = None
                    while rows := queries.clients(chosen, order=order, after=after, limit=2):
                        pages.append([row.client_id for row in rows])
                        after = ClientKey.of(rows[-1])
                    found[condition.value, name] = pages
            return found

        unknown = lists()
        assert len(unknown["complete", "*"]) == 3
        with closing(ResyncStore(database_url, name="test")) as store:
            assert store.keep_state_totals(now=store.now(), interval=TOTALS_INTERVAL)
        assert lists() == unknown
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE statesys.state_totals SET clients = 1000000")
            assert lists() == unknown
            # As if nobody had been complete or quiet at the last count.
            connection.execute(
                "DELETE FROM statesys.state_totals WHERE condition IN ('complete', 'quiet')"
            )
        assert lists() == unknown


def test_only_the_client_itself_is_between_two_pages(
    run: Run, environment: dict[str, str], truth: dict[UUID, str]
) -> None:
    last = max(truth)
    assert listed(run, environment, "--sort", "id", "--after", last)["clients"] == []
    unknown = client_id(99)
    done = run("clients", "--after", unknown, env=environment)
    assert done.returncode == 1
    assert "never heard of" in done.stderr
