"""`statesys status`: broker and database, or only the one that is reachable."""

import json

import psycopg
import pytest

from runtime.devserver import Endpoints
from schemas.topology import DEAD, REPORTS
from tests.integration.console.conftest import Run
from tests.support.pipeline import CLIENTS, Pipeline

AWAY = {
    "STATESYS_AMQP_URL": "amqp://nobody:nothing@127.0.0.1:1/",
    "STATESYS_DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/nothing",
}


def test_before_anything_ran_everything_is_zero(run: Run, environment: dict[str, str]) -> None:
    done = run("status", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {queue["ready"] for queue in found["broker"]["queues"]} == {None}
    assert found["database"]["messages"] == 0
    assert found["database"]["queue_time"]["p50"] is None
    assert "not declared yet" in run("status", env=environment).stdout


def test_it_counts_what_went_through(run: Run, lossy: Pipeline) -> None:
    found = json.loads(run("status", "--json", env=lossy.environment).stdout)
    database, broker = found["database"], found["broker"]
    assert database["totals"]["clients"] == CLIENTS
    assert database["totals"]["missing_ranges"] > 0
    assert database["totals"]["duplicates"] > 0
    assert database["messages_exact"]
    assert database["queue_time"]["messages"] == database["messages"] > 0
    assert 0 < database["queue_time"]["p50"] <= database["queue_time"]["p95"]
    queues = {queue["name"]: queue for queue in broker["queues"]}
    assert queues[REPORTS]["ready"] == 0
    letters = sum(count["letters"] for count in broker["dead"])
    wrong = {one["name"]: one for one in found["findings"]}
    assert wrong["dead not_well_formed"]["number"] == letters
    assert wrong["no relay"]["severity"] == "warning"
    assert letters > 0
    assert {count["reason"] for count in broker["dead"]} == {"not_well_formed"}
    # `status` left the dead letters in the queue.
    again = json.loads(run("status", "--json", env=lossy.environment).stdout)
    assert sum(count["letters"] for count in again["broker"]["dead"]) == letters
    assert set(database["totals"]["reply_queues"]) <= set(queues)
    assert DEAD in queues


def test_it_shows_what_waits_and_who_is_not_asked_any_more(
    run: Run, environment: dict[str, str]
) -> None:
    with psycopg.connect(environment["STATESYS_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "WITH c AS (INSERT INTO statesys.client (client_id, duplicate_identity_at) VALUES "
            "(gen_random_uuid(), NULL), (gen_random_uuid(), now()) RETURNING *) "
            "INSERT INTO statesys.resync_request (client_id, request_id, reason, requested_at, "
            "closed_at, closed_how) SELECT client_id, gen_random_uuid(), 'missing', "
            "now() + n * interval '1 day', now() + n * interval '1 day', "
            "CASE n WHEN -1 THEN 'unroutable' ELSE 'unanswered' END "
            "FROM c, generate_series(-3, -1) n WHERE duplicate_identity_at IS NULL"
        )
        connection.execute(
            "INSERT INTO statesys.resync_request (client_id, request_id, reason, requested_at) "
            "VALUES (gen_random_uuid(), gen_random_uuid(), 'missing', now() + interval '90 min')"
        )
    text = " ".join(run("status", env=environment).stdout.split())
    assert "1 pending (1 to be sent, next in 1 h " in text
    assert "silent clients 1" in text
    assert "duplicate identities 1" in text
    totals = json.loads(run("status", "--json", env=environment).stdout)["database"]["totals"]
    assert (totals["silent"], totals["duplicate_identities"], totals["unsent"]) == (1, 1, 1)


def test_it_names_a_loader_that_was_started_with_other_rules(
    run: Run, environment: dict[str, str]
) -> None:
    done = run("loader", "run", "--exit-when-empty", "--resyncs-per-check", "7", env=environment)
    assert done.returncode == 0, done.stderr
    site = json.loads(run("status", "--json", env=environment).stdout)["database"]["site"]
    assert site["rules"]["resyncs_per_check"] == "7"
    assert site["written"]["origin"] == "loader"
    # The loader has ended.
    assert site["differing"] == []
    with psycopg.connect(environment["STATESYS_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "INSERT INTO statesys.loader (id, name, rules, started_at, seen_at) "
            "SELECT gen_random_uuid(), 'old:1', "
            """'{"resyncs_per_check": "500", "resync_merge_interval": "3d", "older": "1"}', """
            "now(), now() - age FROM unnest(ARRAY[interval '1 min', '10 min']) age"
        )
    text = " ".join(run("status", env=environment).stdout.split())
    told = "loader old:1 follows the site's rules, but was started with other ones: "
    assert text.count(told) == 1
    assert text.endswith(told + "resyncs_per_check 500 (the site's: 7)")


def test_unacked_is_unknown_without_the_management_api_and_known_with_it(
    run: Run, environment: dict[str, str], pipeline: Pipeline, endpoints: Endpoints
) -> None:
    pipeline.publish()
    found = json.loads(run("status", "--json", env=environment).stdout)
    assert {queue["unacked"] for queue in found["broker"]["queues"]} == {None}
    assert not found["broker"]["management"]
    environment["STATESYS_MANAGEMENT_URL"] = endpoints.management_url
    found = json.loads(run("status", "--json", env=environment).stdout)
    assert found["broker"]["management"]


@pytest.mark.parametrize(
    ("away", "here", "code"),
    [("STATESYS_AMQP_URL", "database", 3), ("STATESYS_DATABASE_URL", "broker", 4)],
)
def test_the_half_that_is_there_is_shown(
    run: Run, environment: dict[str, str], away: str, here: str, code: int
) -> None:
    environment[away] = AWAY[away]
    done = run("status", "--json", env=environment)
    found = json.loads(done.stdout)
    assert done.returncode == code
    assert found[here] is not None
    assert len(found["troubles"]) == 1
    text = run("status", env=environment)
    assert text.returncode == code
    assert "unknown: " in text.stdout


def test_nothing_at_all_is_two_sentences(run: Run, bare_environment: dict[str, str]) -> None:
    done = run("status", env={**bare_environment, **AWAY})
    assert done.returncode == 3
    assert len(done.stdout.splitlines()) == 2
