"""Servers stop under load and return: workers wait, go on, and lose nothing.

This module starts its own servers, because its tests kill them.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from loader.migrations import migrate
from runtime import devserver
from runtime.broker import Administration, persistent
from runtime.devserver import Endpoints, ServicesError, processes, registry
from runtime.process_identity import Process, alive
from schemas.errors import BrokerUnavailable
from schemas.report_writer import render_report
from schemas.topology import DEAD, INCOMING, REPORTS
from tests.support.management import Management
from tests.support.processes import (
    NORMAL,
    PATIENCE,
    Program,
    batch,
    fill,
    fleet_reports,
    loading,
    messages_in,
    ready,
    take_all,
)
from tests.support.waiting import wait_until
from tests.support.world import Tables, message, open_tables, report

# Seconds. Starts and stops of real servers, on a busy machine.
pytestmark = pytest.mark.timeout(240)

REPORTS_SENT = fleet_reports(clients=30, messages=800, seed=8)
MESSAGES = messages_in(REPORTS_SENT)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("servers")
    devserver.up(home)
    yield home
    devserver.down(home, purge=True)


def kept(home: Path) -> registry.Services:
    found = registry.load(home)
    assert found is not None
    return found


class Site:
    """Servers with a running relay and loader."""

    def __init__(self, home: Path, endpoints: Endpoints, log: Path) -> None:
        self.home = home
        self.endpoints = endpoints
        self.management = Management(endpoints.management_url)
        urls = {"amqp_url": endpoints.amqp_url, "database_url": endpoints.database_url}
        self.relay = Program(log.with_suffix(".relay"), "relay", "run", "--batch-size=4", **urls)
        self.loader = Program(
            log.with_suffix(".loader"), "loader", "run", "--chunk-size=8", "--threads=2", **urls
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Query the database on a new connection, which no outage has broken."""
        with open_tables(self.endpoints.database_url) as tables:
            return tables.rows(query)

    def stored(self) -> int:
        ((count,),) = self.rows("SELECT count(*) FROM state_message")
        return int(count)

    def await_stored(self, part: float) -> None:
        """Wait until this fraction of all messages is stored."""
        least = round(len(MESSAGES) * part)
        wait_until(lambda: self.stored() >= least, timeout=PATIENCE, what=f"{least} messages")
        assert self.loader.process.poll() is None, self.loader.text
        assert self.relay.process.poll() is None, self.relay.text

    def connections(self) -> list[str]:
        """The workers' AMQP connections by name."""
        return [c["name"] for c in self.management.call("GET", "connections")]


@pytest.fixture
def site(home: Path, tmp_path: Path) -> Iterator[Site]:
    endpoints = devserver.up(home)
    migrate(endpoints.database_url)
    with open_tables(endpoints.database_url) as tables:
        tables.truncate()
    bodies = [render_report(one) for one in REPORTS_SENT]
    fill(endpoints.amqp_url, bodies, queue=REPORTS)
    found = Site(home, endpoints, tmp_path / "log")
    with found.relay, found.loader:
        yield found


def assert_nothing_lost(site: Site) -> None:
    """The same two processes have loaded everything once, without a dead letter."""
    site.await_stored(1)

    def settled() -> bool:
        try:
            with Administration(site.endpoints.amqp_url, name="test") as admin:
                depths = [admin.depth(queue) for queue in (REPORTS, DEAD, *INCOMING.values())]
        except BrokerUnavailable:
            return False
        return all(depth is not None and depth.ready == 0 for depth in depths)

    wait_until(settled, timeout=PATIENCE, what="empty queues")
    for program in (site.relay, site.loader):
        program.send(signal.SIGTERM)
    assert [site.relay.end(), site.loader.end()] == [0, 0]
    assert settled(), "everything was acked"
    with open_tables(site.endpoints.database_url) as tables:
        law = tables.law()
        assert {(client, serial) for client, serial, _ in law["history"]} == MESSAGES
        assert law["stored twice"] == []
        assert tables.ledger_errors() == []


def up_again(site: Site) -> None:
    """Start the stopped server; the children of a killed PostgreSQL have to end first."""

    def started() -> bool:
        try:
            return devserver.up(site.home) == site.endpoints
        except ServicesError:
            return False

    wait_until(started, timeout=PATIENCE, what="the servers to be up again")


def kill(process: Process | None) -> None:
    """Kill a server and wait until its zombie is gone, which PostgreSQL takes for a running one."""
    assert process is not None
    processes.kill(process)
    proc = Path(f"/proc/{process.pid}")
    wait_until(lambda: not proc.exists(), timeout=PATIENCE, what="its end")


def restart_postgres(site: Site) -> None:
    """Restart PostgreSQL with a fast shutdown, which ends all sessions."""
    process = kept(site.home).postgres.process
    assert process is not None
    os.kill(process.pid, signal.SIGINT)
    wait_until(lambda: not alive(process), timeout=PATIENCE, what="its end")
    site.loader.await_event("worker.waiting", holding="PostgreSQL")
    up_again(site)


def kill_postgres(site: Site) -> None:
    kill(kept(site.home).postgres.process)
    site.loader.await_event("worker.waiting", holding="PostgreSQL")
    up_again(site)


def terminate_backends(site: Site) -> None:
    for _ in range(3):
        site.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'statesys loader%'"
        )
    site.loader.await_event("worker.waiting", holding="PostgreSQL")


def kill_rabbitmq(site: Site) -> None:
    kill(kept(site.home).brokers[0].process)
    for program in (site.relay, site.loader):
        program.await_event("worker.waiting", holding="RabbitMQ")
    up_again(site)


def restart_rabbitmq(site: Site) -> None:
    process = kept(site.home).brokers[0].process
    assert process is not None
    os.kill(process.pid, signal.SIGTERM)
    wait_until(lambda: not alive(process), timeout=PATIENCE, what="its end")
    for program in (site.relay, site.loader):
        program.await_event("worker.waiting", holding="RabbitMQ")
    up_again(site)


def close_connections(site: Site) -> None:
    for name in wait_until(site.connections, timeout=PATIENCE, what="connections to be shown"):
        site.management.call("DELETE", "connections", name)
    for program in (site.relay, site.loader):
        program.await_event("worker.waiting", holding="RabbitMQ")


@pytest.mark.parametrize(
    "outages",
    [
        (restart_postgres, terminate_backends, kill_postgres),
        (kill_rabbitmq, close_connections, restart_rabbitmq),
    ],
    ids=["PostgreSQL", "RabbitMQ"],
)
def test_workers_wait_for_a_server_and_go_on(
    outages: tuple[Callable[[Site], None], ...], site: Site
) -> None:
    for number, outage in enumerate(outages, 1):
        site.await_stored(0.2 * number)
        outage(site)
    assert_nothing_lost(site)


def test_a_stop_while_both_servers_are_gone_ends_in_order(site: Site) -> None:
    site.await_stored(0.1)
    servers = kept(site.home)
    kill(servers.brokers[0].process)
    kill(servers.postgres.process)
    for program in (site.relay, site.loader):
        program.send(signal.SIGTERM)
    assert [site.relay.end(), site.loader.end()] == [0, 0]
    for program in (site.relay, site.loader):
        assert "Traceback" not in program.text


# -- queues that are deleted while a loader runs ----------------------------------------------


def count_of(tables: Tables) -> int:
    ((count,),) = tables.rows("SELECT count(*) FROM state_message")
    return int(count)


def test_a_letter_that_cannot_be_sent_holds_back_only_itself(
    amqp_url: str, database_url: str, tables: Tables, management: Management
) -> None:
    first, *bodies = [batch(report(message(serial))) for serial in range(1, 6)]
    fill(amqp_url, [first])
    with (
        loading(amqp_url, database_url, loader_threads=1, inbox_polling_interval="2s"),
        Administration(amqp_url, name="test") as admin,
    ):
        wait_until(lambda: count_of(tables) == 1, what="the start")
        management.call("DELETE", "queues", urlsplit(amqp_url).path[1:], DEAD)
        # All bodies become one chunk, since the only thread waits two seconds for more.
        for body in (b"junk", *bodies):
            admin.publish(routing_key=NORMAL, body=body, properties=persistent())
        wait_until(lambda: count_of(tables) == 5, what="what is good")
        fill(amqp_url, [])
        wait_until(lambda: ready(amqp_url, DEAD) == 1, what="the letter")
    assert [letter.body for letter in take_all(amqp_url, DEAD)] == [b"junk"]
    assert ready(amqp_url) == 0


def test_a_letter_that_cannot_be_sent_does_not_hold_up_the_start(
    amqp_url: str, database_url: str, tables: Tables, management: Management
) -> None:
    fill(amqp_url, [b"junk", *[batch(report(message(serial))) for serial in range(1, 6)]])
    fill(amqp_url, [b"full"] * 2, queue=DEAD)
    full = {"max-length": 1, "overflow": "reject-publish"}
    limit = {"pattern": "^statesys.dead$", "definition": full, "apply-to": "queues"}
    vhost = urlsplit(amqp_url).path[1:]
    management.call("PUT", "policies", vhost, "full", body=limit)
    with loading(amqp_url, database_url, loader_threads=2):
        wait_until(lambda: count_of(tables) == 5, what="what is good")
        letters = take_all(amqp_url, DEAD)
        # The loader sends its own as soon as there is room, maybe while these are taken.
        while len(letters) < 3:
            wait_until(lambda: ready(amqp_url, DEAD), what="the letter")
            letters += take_all(amqp_url, DEAD)
    assert [one.body for one in letters] == [b"full", b"full", b"junk"]
    assert ready(amqp_url) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_has_no_letter_yet_is_not_acked(
    number: signal.Signals,
    tmp_path: Path,
    amqp_url: str,
    database_url: str,
    management: Management,
) -> None:
    fill(amqp_url, [])
    log = tmp_path / "log"
    with Program(log, "loader", "run", amqp_url=amqp_url, database_url=database_url) as loader:
        loader.await_event("loader.consuming")
        management.call("DELETE", "queues", urlsplit(amqp_url).path[1:], DEAD)
        with Administration(amqp_url, name="test") as admin:
            admin.publish(routing_key=NORMAL, body=b"junk", properties=persistent())
        loader.await_event("worker.waiting", holding="letters")
        loader.send(number)
        loader.end()
    wait_until(lambda: ready(amqp_url) == 1, what="the batch to be back")


def test_queues_that_vanish_are_made_again(
    amqp_url: str, database_url: str, management: Management, tables: Tables
) -> None:
    vhost = urlsplit(amqp_url).path[1:]
    fill(amqp_url, [batch(report(message(1)))])
    with loading(amqp_url, database_url):
        wait_until(lambda: count_of(tables) == 1, what="the first")
        management.call("DELETE", "queues", vhost, NORMAL)
        with Administration(amqp_url, name="test") as admin:
            wait_until(lambda: admin.depth(NORMAL), what="the queue to be there again")
        fill(amqp_url, [batch(report(message(2)))])
        wait_until(lambda: count_of(tables) == 2, timeout=60, what="the second")


# -- queues that other programs made ----------------------------------------------------------


def test_a_queue_that_a_restart_deletes_gets_nothing(home: Path, tmp_path: Path) -> None:
    """The report stays in its queue while the relay refuses to run and the broker restarts."""
    amqp_url = devserver.up(home).amqp_url
    management = Management(devserver.up(home).management_url)
    fill(amqp_url, [])
    take_all(amqp_url, REPORTS)
    management.call("DELETE", "queues", "/", NORMAL)
    management.call("PUT", "queues", "/", NORMAL, body={"durable": False})
    with Administration(amqp_url, name="test client") as admin:
        admin.publish(
            exchange=REPORTS, routing_key=REPORTS, body=b"report", properties=persistent()
        )
    with Program(tmp_path / "log", "relay", "run", amqp_url=amqp_url) as relay:
        assert relay.end() == 3
        assert f"queue '{NORMAL}' exists, and its durable is 'false'" in relay.text
        assert relay.events("relay.consuming") == []
    devserver.down(home)
    # The restart deletes the queue, which is not durable, so the relay declares the right one.
    assert devserver.up(home).amqp_url == amqp_url
    assert ready(amqp_url, REPORTS) == 1
    with Program(tmp_path / "log", "relay", "run", "--exit-when-empty", amqp_url=amqp_url) as relay:
        assert relay.end() == 0
    assert [letter.body for letter in take_all(amqp_url, DEAD)] == [b"report"]
