"""What the viewer and `statesys metrics` tell Prometheus, against the truth of a site."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psycopg
import pytest

from runtime.broker import Administration, Properties, persistent
from runtime.devserver import Endpoints
from runtime.settings import load_settings
from schemas.errors import BrokerUnavailable
from schemas.topology import DEAD, INCOMING, QUEUES, REPORTS, reply_queue
from tests.support import commands, own
from tests.support.management import Management
from tests.support.pipeline import CLIENTS, Pipeline
from tests.support.processes import ready
from tests.support.prometheus import promtool
from tests.support.restricted import user_with
from tests.support.samples import Samples
from tests.support.viewers import Viewer, viewing
from tests.support.waiting import wait_until
from web.metrics.letters import LetterCounts


class Site(NamedTuple):
    """A site, some of whose reports were lost, damaged or sent twice; its workers have ended."""

    pipeline: Pipeline
    viewer: Viewer

    def number(self, query: str) -> int:
        """The one number of a query."""
        url = self.pipeline.environment["STATESYS_DATABASE_URL"]
        with psycopg.connect(url, options="-c search_path=statesys") as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def site(
    endpoints: Endpoints,
    database_template: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    with own.site(endpoints, template=database_template(), home=directory / "home") as servers:
        environment = {**servers, "STATESYS_MANAGEMENT_URL": endpoints.management_url}
        pipeline = Pipeline(directory / "fleet", environment)
        pipeline.publish(loss=0.2, corrupt=0.2, duplicate=0.3)
        pipeline.work()
        with viewing(environment) as viewer:
            yield Site(pipeline, viewer)


def scraped(site: Site) -> Samples:
    status, headers, text = site.viewer.get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    return Samples(text)


def written(environment: dict[str, str]) -> tuple[int, Samples, str]:
    """Exit code, samples and stderr of the command."""
    done = commands.run("metrics", env=environment)
    return done.returncode, Samples(done.stdout), done.stderr


# -- the form ------------------------------------------------------------------------------------


def test_promtool_accepts_what_the_viewer_and_the_command_tell(site: Site) -> None:
    _, _, scrape = site.viewer.get("/metrics")
    done = commands.run("metrics", env=site.pipeline.environment)
    assert done.returncode == 0, done.stderr
    for text in (scrape, done.stdout):
        assert not promtool("check", "metrics", given=text)
    assert Samples(scrape).names == Samples(done.stdout).names


def test_a_scraper_that_asks_for_openmetrics_gets_it(site: Site) -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    status, headers, text = site.viewer.get("/metrics", Accept=accept)
    assert status == 200
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


# -- the numbers ---------------------------------------------------------------------------------


def test_the_counters_are_what_the_tables_hold(site: Site) -> None:
    found = scraped(site)
    verdicts = found.by("loader_messages_total", "verdict")
    assert verdicts["new"] == site.number("SELECT count(*) FROM state_message")
    assert verdicts["duplicate"] == site.number("SELECT sum(duplicates) FROM client") > 0
    assert found("loader_queue_time_seconds_count") == sum(verdicts.values())
    assert found("relay_messages_total") == sum(verdicts.values())
    assert found("loader_chunk_duration_seconds_count") == found("loader_chunks_total") > 0
    for histogram in ("loader_chunk_duration_seconds", "loader_queue_time_seconds"):
        assert found(f"{histogram}_sum") > 0
    assert found.by("worker_runs_total", "role") == {"relay": 1, "loader": 1}


def test_refused_reports_and_dead_letters_are_told_by_reason(site: Site) -> None:
    listed = commands.run("dead", "list", "--json", env=site.pipeline.environment)
    letters = Counter(letter["reason"] for letter in json.loads(listed.stdout))
    found = scraped(site)
    assert found.by("dead_letters", "reason") == letters
    assert found.by("relay_reports_total", "reason", result="refused") == letters
    assert found("relay_reports_total", result="forwarded", reason="") > 0
    assert found("queue_messages", queue=DEAD, state="ready") == letters.total()


def test_clients_gaps_and_resyncs_are_those_of_the_database(site: Site) -> None:
    found = scraped(site)
    assert sum(found.by("clients", "condition").values()) == CLIENTS
    missing = "FROM missing_message_range WHERE closed_at IS NULL"
    serials = site.number(f"SELECT sum(last_serial - first_serial + 1) {missing}")
    assert found("missing_serials") == serials > 0
    assert found("missing_ranges") == site.number(f"SELECT count(*) {missing}")
    oldest = site.number(f"SELECT extract(epoch FROM min(detected_at)) {missing}")
    assert abs(found("missing_range_oldest_timestamp_seconds") - oldest) <= 1
    assert found("clients", condition="gaps") > 0
    assert {labels["state"] for labels, _ in found.of("resyncs")} == {
        *("waiting", "sent", "answered", "unanswered")
    }
    assert found("history_partitions_ahead") >= 6
    assert found("history_bytes") > 0


def test_tasks_that_the_loader_did_have_a_moment_and_an_interval(site: Site) -> None:
    found = scraped(site)
    done = found.by("task_last_success_timestamp_seconds", "task")
    assert {"resync.missing", "totals", "state_totals", "quarantine"} <= done.keys()
    assert done.keys() == found.by("task_interval_seconds", "task").keys()
    counted = site.number("SELECT extract(epoch FROM done_at) FROM duty WHERE name = 'totals'")
    assert abs(done["totals"] - counted) <= 1


def test_ended_workers_vanish_and_what_they_did_stays(site: Site) -> None:
    found = scraped(site)
    assert found.by("workers", "role") == {}
    assert list(found.of("worker_heartbeat_timestamp_seconds")) == []
    assert found("loader_chunks_total") > 0


def test_every_server_that_answers_is_up(site: Site) -> None:
    assert scraped(site).by("up", "server") == {"broker": 1, "database": 1, "management": 1}
    assert {REPORTS, *INCOMING.values()} <= {
        labels["queue"] for labels, _ in scraped(site).of("queue_consumers")
    }


# -- bounds --------------------------------------------------------------------------------------


def test_the_queues_of_many_fleets_are_one_and_a_strange_reason_is_unknown(
    amqp_url: str, database_url: str, tmp_path: Path, endpoints: Endpoints
) -> None:
    environment = {
        **commands.bare_environment(tmp_path),
        "STATESYS_AMQP_URL": amqp_url,
        "STATESYS_DATABASE_URL": database_url,
        "STATESYS_MANAGEMENT_URL": endpoints.management_url,
    }
    strange = Properties(
        headers={"statesys-stage": "relay", "statesys-reason": '\x1b[31m"x\ny'}, delivery_mode=2
    )
    with Administration(amqp_url, name="test") as admin:
        admin.declare([reply_queue(uuid4()) for _ in range(3)])
    assert commands.run("topology", "check", env=environment).returncode == 0
    with Administration(amqp_url, name="test") as admin:
        for _ in range(2):
            admin.publish(routing_key=DEAD, body=b"x", properties=strange)
    code, found, _ = written(environment)
    assert code == 0
    assert found.by("dead_letters", "reason") == {"unknown": 2}
    queues = {labels["queue"] for labels, _ in found.of("queue_messages")}
    assert not any(queue.startswith("statesys.resync.") for queue in queues - {"statesys.resync.*"})


# -- the command ---------------------------------------------------------------------------------


def test_the_command_replaces_its_file_in_one_step(site: Site, tmp_path: Path) -> None:
    output = tmp_path / "statesys.prom"
    output.write_text("old", encoding="utf-8")
    before = output.stat().st_ino
    done = commands.run("metrics", "--output", output, env=site.pipeline.environment)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert Samples(output.read_text(encoding="utf-8"))("up", server="broker") == 1
    assert output.stat().st_ino != before
    assert [file.name for file in tmp_path.iterdir()] == ["statesys.prom"]


def test_a_file_that_cannot_be_written_is_told(site: Site, tmp_path: Path) -> None:
    output = tmp_path / "missing" / "statesys.prom"
    done = commands.run("metrics", "--output", output, env=site.pipeline.environment)
    assert done.returncode == 1
    assert "No such file" in done.stderr


@pytest.mark.parametrize(
    ("server", "url", "code"),
    [
        ("broker", "amqp://x:x@127.0.0.1:1/%2F", 3),
        ("database", "postgresql://x:x@127.0.0.1:1/x", 4),
    ],
)
def test_what_is_known_is_written_while_a_server_is_away(
    site: Site, server: str, url: str, code: int
) -> None:
    variable = "STATESYS_AMQP_URL" if server == "broker" else "STATESYS_DATABASE_URL"
    exit_code, found, told = written({**site.pipeline.environment, variable: url})
    assert exit_code == code
    assert "unknown: " in told
    up = {labels["server"]: value for labels, value in found.of("up")}
    assert up[server] == 0
    other = "database" if server == "broker" else "broker"
    assert up[other] == 1
    known = {"statesys_clients", "statesys_queue_messages"} & found.names
    assert known == {"statesys_clients" if server == "broker" else "statesys_queue_messages"}


# -- dead letters --------------------------------------------------------------------------------


def await_letters(amqp_url: str, number: int) -> None:
    """Wait until so many are ready; those that were given back are so after a moment."""
    wait_until(lambda: ready(amqp_url, DEAD) == number, what=f"{number} dead letters")


def test_dead_letters_are_looked_at_again_when_their_number_has_changed(
    amqp_url: str, database_url: str
) -> None:
    settings = load_settings(amqp_url=amqp_url, database_url=database_url)
    counts = LetterCounts(settings)
    assert counts() == ([], False)
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        for number in (1, 2):
            admin.publish(routing_key=DEAD, body=b"x", properties=persistent())
            await_letters(amqp_url, number)
            found = counts()
            assert sum(one.letters for one in found.counts) == number
            await_letters(amqp_url, number)
            assert counts() is found, "it was not looked at again"


def test_while_somebody_takes_dead_letters_the_last_counts_stand(
    amqp_url: str, database_url: str
) -> None:
    settings = load_settings(amqp_url=amqp_url, database_url=database_url)
    taking = threading.Lock()
    counts = LetterCounts(settings, taking)
    with taking, pytest.raises(BrokerUnavailable, match="somebody else"):
        counts()
    found = counts()
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        admin.publish(routing_key=DEAD, body=b"x", properties=persistent())
        await_letters(amqp_url, 1)
    with taking:
        assert counts() is found
    assert counts() is not found


def test_a_user_who_may_not_read_dead_letters_is_told_so_and_sees_the_rest(
    amqp_url: str, database_url: str, tmp_path: Path, management: Management
) -> None:
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        admin.publish(routing_key=DEAD, body=b"x", properties=persistent())
    with user_with(management, amqp_url, ("^$", "^$", r"^(?!statesys\.dead)")) as restricted:
        code, found, told = written(
            {
                **commands.bare_environment(tmp_path),
                "STATESYS_AMQP_URL": restricted,
                "STATESYS_DATABASE_URL": database_url,
            }
        )
    assert code == 3
    assert "statesys.dead" in told
    assert found("up", server="broker") == 1
    assert found("queue_messages", queue=DEAD, state="ready") == 1
    assert "statesys_dead_letters" not in found.names
