"""An operator asks many clients at once, and the site's governor spreads the requests."""

import json
import subprocess
import sys
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from loader.store.collections import CollectionStore
from loader.store.resyncs import ResyncStore
from runtime.rules import SiteRules
from tests.integration.console.conftest import Run
from tests.support.conditions import client_id, fill, name

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def rules(database_url: str) -> SiteRules:
    """Fill the site; a check asks five clients in an hour."""
    fill(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE statesys.site SET resyncs_per_check = 5")
    store = ResyncStore(database_url, name="test")
    found = store.rules()
    store.close()
    return found


def asked(database_url: str) -> list[tuple[Any, ...]]:
    """Client and time from the first moment, in the order in which they are asked."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT client_id, requested_at, one_of_many FROM statesys.resync_request "
            "WHERE closed_at IS NULL AND reason = 'operator' ORDER BY requested_at"
        ).fetchall()


def test_many_are_asked_no_faster_than_a_check_would(
    run: Run, environment: dict[str, str], database_url: str, rules: SiteRules
) -> None:
    everybody = [name(number).upper() for number in range(15)]
    done = run("resync", "request", *everybody, env=environment)
    assert "15 are asked over 3h" in done.stderr
    found = asked(database_url)
    assert [one[0] for one in found] == [client_id(number) for number in range(15)]
    assert all(one[2] for one in found)
    span = found[-1][1] - found[0][1]
    assert 2.6 * rules.resync_check_interval < span < 3 * rules.resync_check_interval
    lines = dict(line.split("  ") for line in done.stdout.splitlines())
    assert set(map(UUID, lines)) == {client_id(number) for number in range(15)}
    again = run("resync", "request", *everybody, env=environment)
    assert "0 are asked over 0s; 15 have an open request already" in again.stderr


@pytest.mark.usefixtures("rules")
def test_a_dry_run_says_how_many_over_how_long(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    done = run("resync", "request", "--dry-run", *map(name, range(10)), env=environment)
    assert "10 would be asked over 2h" in done.stderr
    told = run("resync", "request", "--dry-run", "--json", name(1), env=environment).stdout
    assert json.loads(told) | {"as_of": ""} == {
        "as_of": "",
        "asked": 1,
        "seconds": 720.0,
        "requests": {},
    }
    assert asked(database_url) == []


@pytest.mark.usefixtures("rules")
def test_a_collection_is_asked_and_listed_as_it_was_evaluated_last(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    run("collections", "create", "Gaps", "condition = gaps", env=environment)
    store = CollectionStore(database_url, name="test")
    store.evaluate_next(now=store.now(), interval=timedelta(minutes=5))
    store.close()
    done = run("resync", "request", "--collection", "gaps", "--dry-run", env=environment)
    assert "4 would be asked over 48m" in done.stderr
    done = run("clients", "--collection", "GAPS", "--json", env=environment)
    found = json.loads(done.stdout)
    assert {one["condition"] for one in found["clients"]} == {"gaps"}
    assert len(found["clients"]) == 4
    for command in (("clients",), ("resync", "request")):
        done = run(*command, "--collection", "none", env=environment)
        assert (done.returncode, "no collection 'none'" in done.stderr) == (2, True)


@pytest.mark.usefixtures("rules")
def test_a_list_comes_from_another_command(environment: dict[str, str], database_url: str) -> None:
    me = f"{sys.executable} -m statesys"
    done = subprocess.run(
        f"{me} clients --condition gaps --csv | cut -d, -f2 | {me} resync request --from -",
        shell=True,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "4 are asked over 48m" in done.stderr
    assert len(asked(database_url)) == 4


@pytest.mark.usefixtures("rules")
def test_a_list_with_unknown_clients_asks_nobody(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE statesys.client SET name = 'twin' WHERE highest_serial = 9")
    given = ("twin", "nobody", client_id(99), client_id(1))
    done = run("resync", "request", *given, env=environment)
    assert done.returncode == 2
    assert f"2 of the list are unknown here: nobody, {client_id(99)}" in done.stderr
    assert "1 are names of several machines, which need ids: twin; nothing was done" in done.stderr
    assert asked(database_url) == []
    assert run("resync", "request", env=environment).returncode == 2


@pytest.mark.usefixtures("rules")
def test_a_line_that_is_no_client_is_named(
    run: Run, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    listed = tmp_path_factory.mktemp("list") / "list"
    listed.write_bytes(b"name\n\nPC-000\nGUID:x\n")
    done = run("resync", "request", "--from", listed, env=environment)
    assert (done.returncode, "line 4 of the list" in done.stderr) == (2, True)


@pytest.mark.usefixtures("rules")
def test_under_backlog_many_wait_and_a_single_one_does_not(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    run("resync", "request", name(0), name(1), env=environment)
    run("resync", "request", name(2), env=environment)
    store = ResyncStore(database_url, name="test")
    later = store.now() + timedelta(days=1)
    assert [one.request.client_id for one in store.unsent(now=later, held=True)] == [client_id(2)]
    store.commit()
    assert len(store.unsent(now=later)) == 2 + 1
    store.commit()
    store.put_off(now=later, spread=timedelta(hours=1))
    put_off = {one[0] for one in asked(database_url) if one[1] >= later}
    assert put_off == {client_id(0), client_id(1)}
    store.close()
