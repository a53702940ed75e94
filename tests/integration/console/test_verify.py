"""`statesys verify` against real servers."""

import json
from pathlib import Path
from typing import Any

import psycopg

from producers.fleet import utc_now
from producers.store import Store, StoreReader
from runtime.broker import Administration, persistent
from schemas.topology import INCOMING, QUEUES, REPORTS
from tests.integration.console.conftest import Copied, Run
from tests.support.pipeline import CLIENTS, Pipeline

# `verify` gives unacked messages time to arrive before it says "not verified"; shorter here.
QUICK = ("--timeout", "1s")


def verify(run: Run, environment: dict[str, str], fleet: Path, *options: str) -> tuple[int, Any]:
    done = run("verify", "--fleet", fleet, "--json", *options, env=environment)
    return done.returncode, json.loads(done.stdout)


def test_everything_that_was_sent_is_verified(run: Run, loaded: Pipeline) -> None:
    done = run("verify", "--fleet", loaded.fleet, env=loaded.environment)
    assert done.returncode == 0, done.stdout
    sent = loaded.sent()
    assert done.stdout.splitlines()[-1].startswith(f"verified: {sent} messages of {CLIENTS} clie")


def test_a_lost_report_is_missing_and_a_damaged_one_a_dead_letter(
    run: Run, lossy: Pipeline
) -> None:
    code, found = verify(run, lossy.environment, lossy.fleet, *QUICK)
    assert found["places"]["missing"]
    assert found["places"]["dead"]
    assert found["places"]["unaccounted"] == found["places"]["altered"] == 0
    assert sum(found["places"].values()) == lossy.sent()
    # The promise holds, but the server lacks the states of lost messages.
    assert found["states"]["behind"]
    assert found["states"]["differing"] == 0
    assert code == 1


def test_a_lost_last_report_is_unaccounted_for(
    run: Run, environment: dict[str, str], pipeline: Pipeline
) -> None:
    pipeline.publish(heartbeat=False, loss=0.5)
    pipeline.work()
    code, found = verify(run, environment, pipeline.fleet, *QUICK)
    assert code == 1
    assert found["places"]["unaccounted"]
    assert any("unaccounted for" in sentence for sentence in found["offenders"])


def test_a_changed_row_a_changed_state_and_a_lost_row_are_found(
    run: Run, loaded: Pipeline, copied: Copied
) -> None:
    environment = copied(loaded)
    with psycopg.connect(environment["STATESYS_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "UPDATE statesys.state_message SET digest = '\\x00112233445566778899aabbccddeeff' "
            "WHERE serial = 1 AND client_id = (SELECT min(client_id::text)::uuid "
            "FROM statesys.client)"
        )
        connection.execute(
            "DELETE FROM statesys.state_message WHERE serial = 2 AND client_id = "
            "(SELECT max(client_id::text)::uuid FROM statesys.client)"
        )
        connection.execute(
            "UPDATE statesys.current_state SET digest = '\\x00' WHERE (client_id, topic_id) IN "
            "(SELECT client_id, topic_id FROM statesys.current_state LIMIT 1)"
        )
    code, found = verify(run, environment, loaded.fleet, *QUICK)
    assert code == 1
    assert found["places"]["altered"] == 1
    assert found["places"]["unaccounted"] == 1
    assert found["states"]["differing"] == 1
    assert len(found["offenders"]) == 3


def test_ranges_that_contradict_the_books_are_found(
    run: Run, lossy: Pipeline, copied: Copied
) -> None:
    environment = copied(lossy)
    with psycopg.connect(environment["STATESYS_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("DELETE FROM statesys.missing_message_range")
    code, found = verify(run, environment, lossy.fleet, *QUICK)
    assert code == 1
    assert found["inconsistent_clients"]
    assert found["places"]["unaccounted"]


def test_work_that_is_left_means_not_verified_yet_and_stays(
    run: Run, environment: dict[str, str], pipeline: Pipeline, amqp_url: str
) -> None:
    pipeline.publish()
    done = run("verify", "--fleet", pipeline.fleet, *QUICK, env=environment)
    assert done.returncode == 1
    assert done.stdout.startswith("not verified yet")
    with Administration(amqp_url, name="test") as admin:
        reports = admin.depth(REPORTS)
        assert reports is not None
        assert f"{reports.ready} ready in {REPORTS}" in done.stdout


def test_a_batch_that_the_broker_gave_up_is_read_for_its_serials(
    run: Run, environment: dict[str, str], pipeline: Pipeline, amqp_url: str
) -> None:
    pipeline.publish()
    assert run("relay", "run", "--exit-when-empty", env=environment).returncode == 0
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        for queue in INCOMING.values():
            while (batch := admin.take(queue)) is not None:
                death = {"queue": queue, "reason": "delivery_limit", "count": 1}
                admin.publish(
                    routing_key="statesys.dead",
                    body=batch.body,
                    properties=persistent(headers={"x-death": [death]}),
                )
                admin.ack(batch.tag)
    _, found = verify(run, environment, pipeline.fleet, *QUICK)
    assert found["places"]["dead"] == pipeline.sent()
    assert run("dead", "replay", "--all", env=environment).returncode == 0
    assert run("loader", "run", "--exit-when-empty", env=environment).returncode == 0
    code, found = verify(run, environment, pipeline.fleet)
    assert code == 0
    assert found["places"]["loaded"] == pipeline.sent()


def test_a_store_that_a_fleet_owns_is_read(run: Run, loaded: Pipeline) -> None:
    with Store(loaded.fleet, seed=None, clients=CLIENTS, now=utc_now()):
        code, _ = verify(run, loaded.environment, loaded.fleet)
    assert code == 0


def test_clients_of_other_stores_are_only_counted(
    run: Run, loaded: Pipeline, tmp_path: Path
) -> None:
    with Store(tmp_path / "other", seed=2, clients=1, now=utc_now()):
        pass
    code, found = verify(run, loaded.environment, tmp_path / "other")
    assert code == 0
    assert found["foreign_clients"] == CLIENTS


def test_no_fleet_is_one_sentence(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    done = run("verify", "--fleet", tmp_path / "none", env=environment)
    assert done.returncode == 1
    assert "there is no fleet" in done.stderr


def test_the_fleet_is_not_changed_by_looking(run: Run, loaded: Pipeline) -> None:
    with StoreReader(loaded.fleet) as store:
        before = store.totals(), list(store.sent())
    verify(run, loaded.environment, loaded.fleet)
    with StoreReader(loaded.fleet) as store:
        assert (store.totals(), list(store.sent())) == before
