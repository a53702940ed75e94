"""`states`, `gaps`, `topics` and `trace`."""

import json
from itertools import chain
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from producers.store import StoreReader
from runtime.broker import Administration
from schemas.topics import catalogue
from schemas.topology import DEAD
from tests.integration.console.conftest import Copied, Run
from tests.support.pipeline import Pipeline

#: Faults after which messages are not in the database.
LOSING = ("loss", "corrupt")


def a_client(fleet: Path) -> UUID:
    with StoreReader(fleet) as store:
        return next(store.clients()).client_id


@pytest.mark.parametrize("form", ["GUID:{}", "guid: {}", "{}", "{{{}}}"])
def test_a_client_may_be_written_in_any_form(
    run: Run, environment: dict[str, str], form: str
) -> None:
    for written in (form.format(str(uuid4()).upper()), form.format(uuid4())):
        done = run("states", written, env=environment)
        assert done.returncode == 1
        assert "never heard of client" in done.stderr


def test_what_is_no_client_is_a_usage_error(run: Run, environment: dict[str, str]) -> None:
    for command in ("states", "trace", "gaps"):
        assert run(command, "GUID:nonsense", env=environment).returncode == 2


def test_states_are_the_stores_and_have_names(run: Run, loaded: Pipeline) -> None:
    client = a_client(loaded.fleet)
    found = json.loads(run("states", client, "--json", env=loaded.environment).stdout)
    with StoreReader(loaded.fleet) as store:
        own = [(s.topic_type, s.topic_id, s.serial) for s in store.states(client)]
    assert [(s["topic_type"], s["topic_id"], s["serial"]) for s in found["states"]] == own
    assert any(s["topic_name"].startswith("STATE_TOPICTYPE") for s in found["states"])
    assert run("states", client, env=loaded.environment).stdout.count("\n") == len(own) + 2


def test_gaps_are_open_until_they_close(run: Run, lossy: Pipeline, copied: Copied) -> None:
    environment = copied(lossy)
    client, _, _ = lossy.damaged("loss")
    with StoreReader(lossy.fleet) as store:
        faults = [f for f in store.injected() if f.client_id == client and f.fault in LOSING]
        absent = {n for fault in faults for n in range(fault.first_serial, fault.last_serial + 1)}
    found = json.loads(run("gaps", f"GUID:{client}", "--json", env=environment).stdout)
    ranges = [range(row["first_serial"], row["last_serial"] + 1) for row in found]
    assert sorted(chain.from_iterable(ranges)) == sorted(absent)
    assert all(row["due_at"] > row["detected_at"] for row in found)
    table = run("gaps", "--limit", "1", env=environment)
    assert "not asked" in table.stdout
    assert "there are more" in table.stderr
    with psycopg.connect(environment["STATESYS_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "UPDATE statesys.missing_message_range SET closed_at = now(), closed_how = 'arrived'"
        )
    assert json.loads(run("gaps", "--json", env=environment).stdout) == []
    closed = json.loads(run("gaps", "--all", "--json", env=environment).stdout)
    assert {row["closed_how"] for row in closed} == {"arrived"}


def test_a_merged_range_is_due_at_once(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "WITH c AS (INSERT INTO statesys.client (client_id, highest_serial, accounted) "
            "VALUES (gen_random_uuid(), 9, '{[1,10)}') RETURNING client_id) "
            "INSERT INTO statesys.missing_message_range "
            "(client_id, first_serial, last_serial, merged, detected_at) "
            "SELECT client_id, 1, 9, true, now() FROM c"
        )
    table = run("gaps", env=environment).stdout.splitlines()
    assert "1-9 merged" in table[1]
    assert table[1].rstrip().endswith("now")


def test_topics_need_no_server(run: Run, bare_environment: dict[str, str]) -> None:
    types = {row.topic_type for row in catalogue()}
    assert len(run("topics", env=bare_environment).stdout.splitlines()) == len(types) + 1
    found = json.loads(run("topics", "301", "6", "--json", env=bare_environment).stdout)
    assert [row["state_name"] for row in found] == ["Failed to install update(s)"]
    assert run("topics", "4242", env=bare_environment).returncode == 1


def test_topics_tell_a_deployment_from_an_update_in_it(
    run: Run, bare_environment: dict[str, str]
) -> None:
    whole = run("topics", "301", "6", env=bare_environment).stdout
    assert whole.startswith("301/6: Failed to install update(s)\n")
    assert "one deployment as a whole" in whole
    single = run("topics", "SUM_CI_enforcement", "11", env=bare_environment).stdout
    assert single.startswith("402/11: Failed to install update\n")
    assert "one single update" in single
    states = run("topics", "301", env=bare_environment).stdout
    assert "Waiting for another installation to complete" in states
    assert "one deployment as a whole" in states
    assert run("topics", "nonsense", env=bare_environment).returncode == 2


def test_trace_finds_a_loaded_message(run: Run, loaded: Pipeline) -> None:
    client = a_client(loaded.fleet)
    done = run("trace", client, 1, "--fleet", loaded.fleet, "--json", env=loaded.environment)
    found = json.loads(done.stdout)
    assert found["verdict"].startswith("loaded at ")
    assert found["rows"][0]["digest"] == found["fleet"]["digest"]
    text = run("trace", client, 1, "--fleet", loaded.fleet, env=loaded.environment).stdout
    assert "as it was sent  yes" in text


@pytest.mark.parametrize(
    ("fault", "words"), [("loss", "missing: in an open"), ("corrupt", "in a dead letter: not_well")]
)
def test_trace_finds_what_did_not_arrive(run: Run, lossy: Pipeline, fault: str, words: str) -> None:
    client, first, _ = lossy.damaged(fault)
    found = json.loads(
        run("trace", client, first, "--fleet", lossy.fleet, "--json", env=lossy.environment).stdout
    )
    assert found["verdict"].startswith(words)
    assert [f["fault"] for f in found["fleet"]["faults"]] == [fault]
    assert words in run("trace", client, first, env=lossy.environment).stdout


def test_trace_says_when_nobody_heard_of_it(run: Run, loaded: Pipeline) -> None:
    client = a_client(loaded.fleet)
    above = run("trace", client, 10**6, env=loaded.environment)
    assert "above the client's highest" in above.stdout
    unknown = run("trace", uuid4(), 1, env=loaded.environment)
    assert "does not know the client" in unknown.stdout
    assert run("trace", uuid4(), env=loaded.environment).returncode == 1


def test_trace_of_a_client_sums_it_up_even_without_a_broker(run: Run, lossy: Pipeline) -> None:
    client, _, _ = lossy.damaged("corrupt")
    found = json.loads(run("trace", client, "--json", env=lossy.environment).stdout)
    with StoreReader(lossy.fleet) as store:
        last = next(c.last_serial for c in store.clients() if c.client_id == client)
    assert found["client"]["highest_serial"] == last
    assert found["letters"]
    assert found["messages"][0]["serial"] == last
    alone = {**lossy.environment, "STATESYS_AMQP_URL": "amqp://nobody:nothing@127.0.0.1:1/"}
    assert "the broker is away" in run("trace", client, env=alone).stdout
    with Administration(lossy.environment["STATESYS_AMQP_URL"], name="test") as admin:
        depth = admin.depth(DEAD)
        assert depth is not None
        assert depth.ready > 0
