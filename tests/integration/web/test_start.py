"""The start page, its stream and the pipeline's page, on a site under faults."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime.devserver import Endpoints
from tests.support.management import Management
from tests.support.own import name_of
from tests.support.pipeline import Pipeline
from tests.support.processes import Program
from tests.support.streams import streaming
from tests.support.viewers import Viewer, viewing
from tests.support.waiting import wait_until

PATIENCE = 60.0
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def pipeline(environment: dict[str, str], tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path / "fleet", environment)


@pytest.fixture
def workers(tmp_path: Path, amqp_url: str, database_url: str) -> Iterator[dict[str, Program]]:
    """A relay and a loader at work."""
    addresses: dict[str, str | Path] = {
        "amqp_url": amqp_url,
        "database_url": database_url,
        "home": tmp_path,
    }
    with (
        Program(tmp_path / "relay.log", "relay", "run", **addresses) as relay,
        Program(tmp_path / "loader.log", "loader", "run", **addresses) as loader,
    ):
        yield {"relay": relay, "loader": loader}


def await_page(viewer: Viewer, path: str, holding: str) -> str:
    """Reload a page until it holds a text."""

    def found() -> str | None:
        text = viewer.get(path).text
        return text if holding in text else None

    text = wait_until(found, timeout=PATIENCE, what=f"{holding!r} on {path}")
    assert text is not None
    return text


def flowing(text: str) -> dict[str, str]:
    """The numbers of the table of the flow, by stage."""
    rows = re.findall(r'<th scope="row"><a [^>]*>(.*?)</a></th><td class="number">(.*?)</td>', text)
    return dict(rows)


@pytest.mark.usefixtures("workers")
def test_a_site_at_work_has_nothing_wrong_and_shows_what_flows(
    viewer: Viewer, pipeline: Pipeline
) -> None:
    pipeline.publish()
    sent = pipeline.sent()

    def at_work() -> str | None:
        text = viewer.get("/").text
        flow = flowing(text)
        # A worker is known with its first heartbeat, and each sends its own.
        known = (flow["database"], flow["relay"], flow["loader"])
        return text if known == (f"{sent:,}", "1", "1") else None

    text = wait_until(at_work, timeout=PATIENCE, what="all messages and both workers")
    assert text is not None
    assert "Nothing is wrong." in text
    assert flowing(text)["clients"] == "20"
    assert flowing(text)["dead letters"] == "0"
    assert text.count("<polyline") == 4
    pipeline_page = viewer.get("/pipeline").text
    assert pipeline_page.count("at work</span>") == 2
    assert "resyncs_per_check" in pipeline_page
    assert "loader_chunk_size" in pipeline_page


def test_an_open_page_learns_that_reports_wait_and_that_a_relay_takes_them(
    viewer: Viewer, pipeline: Pipeline, tmp_path: Path, amqp_url: str, database_url: str
) -> None:
    with streaming(viewer) as stream:
        pipeline.publish()
        found = stream.await_part("findings", "no relay is at work, and")
        assert '<li class="critical">' in found
        assert "<code>statesys relay run</code>" in found
        where = {"amqp_url": amqp_url, "database_url": database_url}
        with Program(tmp_path / "relay.log", "relay", "run", **where):
            found = stream.await_part("findings", "no loader is at work, and")
            assert "no relay" not in found


def test_a_killed_worker_is_told_when_it_was_not_seen_for_a_minute(
    viewer: Viewer, workers: dict[str, Program], database_url: str
) -> None:
    await_page(viewer, "/", "Nothing is wrong.")
    wait_until(
        lambda: viewer.get("/pipeline").text.count("at work</span>") == 2,
        timeout=PATIENCE,
        what="both heartbeats",
    )
    workers["relay"].send(signal.SIGKILL)
    workers["relay"].end()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE statesys.worker SET seen_at = now() - interval '2 min' WHERE role = 'relay'"
        )
    text = await_page(viewer, "/", "1 worker is lost: relay")
    assert "no relay is at work" in text
    assert "lost</span>" in viewer.get("/pipeline").text


def test_a_page_that_is_open_outlives_the_database_and_the_broker(
    viewer: Viewer,
    endpoints: Endpoints,
    management: Management,
    amqp_url: str,
    database_url: str,
) -> None:
    database, broker = name_of(database_url), name_of(amqp_url)
    with (
        psycopg.connect(endpoints.database_url, autocommit=True) as administration,
        streaming(viewer) as stream,
    ):
        stream.await_part("findings", "queues are missing")
        administration.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
        administration.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [database],
        )
        found = stream.await_part("findings", "PostgreSQL at")
        # The other half is still told, and pages that need the database say what is wrong.
        assert "queues are missing" in found
        assert viewer.get("/").status == 200
        assert "The workers are unknown" in viewer.get("/pipeline").text
        assert viewer.get("/gaps").status == 503
        administration.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')
        management.delete_vhost(broker)
        found = stream.await_part("findings", "RabbitMQ")
        assert "The dead letters are unknown" in viewer.get("/dead").text
        wait_until(lambda: viewer.get("/gaps").status == 200, timeout=PATIENCE, what="the database")
        management.create_vhost(broker)
        found = stream.await_part("findings", "queues are missing")
        assert "PostgreSQL" not in found


def test_a_site_without_tables_says_what_to_do(
    environment: dict[str, str], empty_database_url: str
) -> None:
    environment["STATESYS_DATABASE_URL"] = empty_database_url
    with viewing(environment) as viewer:
        found = viewer.get("/")
        assert found.status == 200
        assert "statesys loader migrate" in found.text
