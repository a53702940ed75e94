"""Relays and loaders as processes: the site knows all of them, whatever happens to them."""

import json
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from runtime.broker import Administration, persistent
from schemas.topology import DEAD, QUARANTINE, REPORTS, WORKERS
from tests.integration.relay.test_quarantine import CALM, STORM, of
from tests.support import commands
from tests.support.management import Management
from tests.support.processes import PATIENCE, Program, ready
from tests.support.relays import World
from tests.support.restricted import OLD_LOADER, OLD_RELAY, user_with
from tests.support.waiting import wait_until
from tests.support.world import Tables, open_tables

Status = Callable[[], dict[str, Any]]
pytestmark = pytest.mark.timeout(300)


class Site:
    """One broker and one database, and processes on them."""

    def __init__(self, directory: Path, amqp_url: str, database_url: str) -> None:
        self.directory, self.amqp_url, self.database_url = directory, amqp_url, database_url
        self.world = World(amqp_url)
        self._started = 0

    def start(self, role: str, *flags: str, amqp_url: str | None = None) -> Program:
        self._started += 1
        return Program(
            self.directory / f"{role}-{self._started}.log",
            *(role, "run", *flags),
            amqp_url=amqp_url or self.amqp_url,
            database_url=self.database_url,
            home=self.directory,
        )

    def run(self, *arguments: object) -> str:
        environment = commands.bare_environment(self.directory) | {
            "STATESYS_AMQP_URL": self.amqp_url,
            "STATESYS_DATABASE_URL": self.database_url,
        }
        done = commands.run(*arguments, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json"))["database"]
        return found

    def sums(self) -> dict[str, dict[str, int]]:
        return {one["role"]: one for one in self.status()["worker_totals"]}

    def health_tells(self, role: str, words: str) -> bool:
        return words in self.run("health", role)

    def at_work(self) -> list[str]:
        return [one["role"] for one in self.status()["workers"] if not one["late"]]


@pytest.fixture
def site(amqp_url: str, database_url: str, tmp_path: Path) -> Site:
    return Site(tmp_path, amqp_url, database_url)


def loaded(tables: Tables) -> int:
    ((count,),) = tables.rows("SELECT count(*) FROM state_message")
    return int(count)


def test_two_relays_and_two_loaders_are_known_with_all_they_do_and_sums_never_fall(
    site: Site,
) -> None:
    with open_tables(site.database_url) as tables, ExitStack() as running:
        workers = [
            running.enter_context(site.start(role))
            for role in ("relay", "relay", "loader", "loader")
        ]
        relays, loaders = workers[:2], workers[2:]
        wait_until(lambda: len(site.at_work()) == 4, timeout=PATIENCE, what="four workers")
        site.world.publish([*of(CALM, 300), (b"<nonsense", persistent())])
        wait_until(lambda: loaded(tables) == 300, timeout=PATIENCE, what="three hundred messages")
        # One of each is killed; what it told last stays in the sums.
        before = site.sums()
        for victim in (relays[0], loaders[0]):
            victim.send(signal.SIGKILL)
            victim.end()
        site.world.publish(of(CALM, 100, first=301))
        wait_until(lambda: loaded(tables) == 400, timeout=PATIENCE, what="four hundred messages")
        with site.start("relay") as third:
            third.await_event("relay.consuming")
            third.send(signal.SIGTERM)
            assert third.end() == 0
        for survivor in (relays[1], loaders[1]):
            survivor.send(signal.SIGTERM)
            assert survivor.end() == 0
        after = site.sums()
        for role, counters in before.items():
            del counters["role"]
            assert all(after[role][name] >= value for name, value in counters.items())
        assert (after["relay"]["workers"], after["loader"]["workers"]) == (3, 2)
        tables.connection.execute("UPDATE worker SET seen_at = seen_at - interval '2 min'")
        status = site.status()["workers"]
        assert sorted((one["role"], one["late"]) for one in status) == [
            *(("loader", True), ("relay", True))
        ], "the killed ones, and no other"
        assert {one["pid"] for one in status} == {relays[0].process.pid, loaders[0].process.pid}
        assert " ago, lost" in site.run("status")


def test_without_a_death_the_sums_are_exact(site: Site) -> None:
    site.world.publish([*of(CALM, 50), (b"<nonsense", persistent())])
    for role in ("relay", "loader"):
        with site.start(role, "--exit-when-empty") as worker:
            assert worker.end() == 0
    sums = site.sums()
    relay, loader = sums["relay"], sums["loader"]
    assert (relay["reports"], relay["messages"], relay["refused"]) == (51, 50, 1)
    assert (loader["messages"], loader["refused"]) == (50, 0)
    assert site.status()["workers"] == []
    text = " ".join(site.run("status").split())
    assert "relays since the first (1 run): 51 reports in 1 batches, 50 messages, 1 dead" in text


def test_a_storm_is_quarantined_released_and_replayed_and_nothing_is_lost(site: Site) -> None:
    with (
        open_tables(site.database_url) as tables,
        site.start("relay") as relay,
        site.start("loader") as loader,
    ):
        relay.await_event("relay.consuming")
        loader.await_event("loader.consuming")
        site.world.publish(of(STORM, 5))
        wait_until(lambda: loaded(tables) == 5, timeout=PATIENCE, what="the first messages")
        site.run("client", "quarantine", STORM, "--why", "a storm")
        relay.await_event("relay.quarantine_changed", holding='"clients": 1')
        site.world.publish([*of(STORM, 20, first=6), *of(CALM, 5)])
        wait_until(lambda: ready(site.amqp_url, DEAD) == 20, timeout=PATIENCE, what="letters")
        wait_until(lambda: loaded(tables) == 10, timeout=PATIENCE, what="the other client")
        letters = json.loads(site.run("dead", "list", "--reason", "quarantined", "--json"))
        assert {letter["stage"] for letter in letters} == {"relay"}
        # A list that is lost with its queue is published again.
        with Administration(site.amqp_url, name="test") as admin:
            admin.purge(QUARANTINE)
            admin.purge(WORKERS)
        wait_until(lambda: ready(site.amqp_url, QUARANTINE) == 1, timeout=PATIENCE, what="the list")
        site.run("client", "release", STORM)
        relay.await_event("relay.quarantine_changed", holding='"clients": 0')
        # What comes before the replay shows what is missing; the replay closes it.
        site.world.publish(of(STORM, 1, first=26))
        wait_until(lambda: loaded(tables) == 11, timeout=PATIENCE, what="a later message")
        assert tables.rows(
            "SELECT first_serial, last_serial FROM missing_message_range WHERE closed_at IS NULL"
        ) == [(6, 25)]
        site.run("dead", "replay", "--reason", "quarantined")
        wait_until(lambda: loaded(tables) == 31, timeout=PATIENCE, what="all messages")
        assert tables.ledger_errors() == []
        assert ready(site.amqp_url, DEAD) == ready(site.amqp_url, REPORTS) == 0
        assert site.sums()["relay"]["quarantined"] == 20


def test_hostile_bytes_in_both_queues_stop_nobody(site: Site) -> None:
    hostile = [b"", b"\x00", b"[]", b"null", b"{" * 50_000, b'{"clients": 7}', b"x" * 500_000]
    with site.world.admin() as admin:
        for queue in (WORKERS, QUARANTINE):
            for body in hostile:
                admin.publish(routing_key=queue, body=body, properties=persistent())
    with (
        open_tables(site.database_url) as tables,
        site.start("relay") as relay,
        site.start("loader") as loader,
    ):
        relay.await_event("relay.quarantine_unknown")
        loader.await_event("loader.heartbeat_refused")
        site.world.publish(of(CALM, 5))
        wait_until(lambda: loaded(tables) == 5, timeout=PATIENCE, what="the messages")
        wait_until(lambda: len(site.at_work()) == 2, timeout=PATIENCE, what="both workers")
        # The loader's own list takes the place of the unreadable one.
        site.run("client", "quarantine", UUID(int=9))
        relay.await_event("relay.quarantine_changed", holding='"clients": 1')


def test_workers_of_an_old_site_work_and_say_what_they_lack(
    site: Site, management: Management
) -> None:
    with site.world.admin() as admin:
        for queue in (WORKERS, QUARANTINE):
            admin._channel.queue_delete(queue)
    with (
        open_tables(site.database_url) as tables,
        user_with(management, site.amqp_url, OLD_RELAY) as relay_url,
        user_with(management, site.amqp_url, OLD_LOADER) as loader_url,
        site.start("relay", amqp_url=relay_url) as relay,
        site.start("loader", amqp_url=loader_url) as loader,
    ):
        site.world.publish(of(CALM, 5))
        wait_until(lambda: loaded(tables) == 5, timeout=PATIENCE, what="the messages")
        relay.await_event("worker.heartbeat_not_sent")
        loader.await_event("loader.heartbeats_not_stored")
        loader.await_event("loader.quarantine_not_published")
        for role in ("relay", "loader"):
            told = partial(site.health_tells, role, "quarantined clients")
            wait_until(told, what=f"the note of the {role}")
        # The installer makes the queues; the loader's right to read is still missing.
        World(site.amqp_url)
        loader.await_event("loader.heartbeats_not_stored", holding="read access to queue")
        for worker in (relay, loader):
            worker.send(signal.SIGTERM)
            assert worker.end() == 0
