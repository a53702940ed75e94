"""More shards on a site at work: nothing is lost, and every part of the site knows them."""

import json
import re
import shlex
import signal
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest

from console.dead.box import Box
from runtime.broker import Administration, persistent
from runtime.broker.messages import report_properties
from runtime.broker.shards import count_shards, extend
from runtime.devserver import Endpoints
from schemas.errors import BrokerUnavailable, TopologyWrong
from schemas.topology import (
    DEAD,
    PUBLISHED,
    QUEUES,
    REPORTS,
    SPREAD,
    in_shard,
    incoming,
    is_reports,
    queues,
    report_queues,
    reports,
    shard_of,
    work,
)
from tests.integration.test_workers import Site, loaded
from tests.support import commands
from tests.support.brokers import vhost
from tests.support.documented import blocks
from tests.support.management import Management
from tests.support.processes import PATIENCE, ready, take_all
from tests.support.restricted import user_with
from tests.support.waiting import wait_until
from tests.support.world import open_tables

pytestmark = pytest.mark.timeout(300)
CLIENTS = [UUID(int=number, version=4) for number in range(60)]


def publish(url: str, client: UUID | None, *, exchange: str = REPORTS) -> None:
    properties = persistent()
    if client is not None:
        properties = report_properties(
            client, first_serial=1, last_serial=1, messages=1, message_id=client
        )
    with Administration(url, name="test") as admin:
        admin.publish(exchange=exchange, routing_key=REPORTS, body=b"?", properties=properties)


def publish_all(url: str, *, times: int = 1) -> None:
    with Administration(url, name="test") as admin:
        for client in CLIENTS * times:
            admin.publish(
                exchange=REPORTS,
                routing_key=REPORTS,
                body=client.bytes,
                properties=report_properties(
                    client, first_serial=1, last_serial=1, messages=1, message_id=client
                ),
            )


def taken(url: str, shards: int) -> dict[int, list[bytes]]:
    """The bodies in each shard's queue of reports."""
    return {
        shard: [one.body for one in take_all(url, name)]
        for shard, name in enumerate(reports(shards))
    }


@pytest.fixture
def cut(amqp_url: str) -> str:
    """The URL of a site with three shards."""
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        extend(admin, 3)
    return amqp_url


def test_a_site_at_work_gets_shards_and_loses_nothing(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet"
    site = Site(tmp_path, amqp_url, database_url)
    with ExitStack() as running, open_tables(database_url) as tables:
        relay, loader = (running.enter_context(site.start(role)) for role in ("relay", "loader"))
        clients = running.enter_context(
            site.start(
                "producers", "--fleet", str(fleet), "--clients", "60", "--forward-interval", "1s"
            )
        )
        wait_until(lambda: loaded(tables), timeout=PATIENCE, what="messages before")
        assert json.loads(site.run("topology", "shards", "--json")) == {"shards": 1}
        for _ in range(2):
            assert site.run("topology", "shards", "3") == "3 shards\n"
        for shard in (1, 2):
            relay.await_event("relay.batch_sent", holding=f'"statesys.incoming.{shard}"')
        for worker in (relay, loader):
            worker.await_event(f"{worker.name}.shards_added", holding='"shards": 3')
        # A worker that starts now knows them at once.
        running.enter_context(site.start("relay")).await_event(
            "relay.consuming", holding='"shards": 3'
        )
        clients.send(signal.SIGTERM)
        assert clients.end() == 0
        site.run("verify", "--fleet", fleet)
    assert all(ready(amqp_url, queue.name) == 0 for queue in queues(3) if is_reports(queue.name))


def test_each_client_has_a_shard_and_each_shard_has_clients(cut: str) -> None:
    publish_all(cut, times=3)
    shards_of = defaultdict(set)
    for shard, bodies in taken(cut, 3).items():
        for body in bodies:
            shards_of[body].add(shard)
    assert len(shards_of) == len(CLIENTS)
    assert all(len(shards) == 1 for shards in shards_of.values())
    assert {shard for shards in shards_of.values() for shard in shards} == {0, 1, 2}


def test_reports_without_a_client_and_through_the_default_exchange_arrive_once(cut: str) -> None:
    publish(cut, None)
    assert sum(len(bodies) for bodies in taken(cut, 3).values()) == 1
    for client in CLIENTS[:5]:
        publish(cut, client, exchange="")
    assert {shard: len(bodies) for shard, bodies in taken(cut, 3).items()} == {0: 5, 1: 0, 2: 0}


STRANGE = [
    None,
    1,
    -(2**63),
    True,
    [],
    [1, {"a": []}],
    {},
    {"b": 1},
    b"\xff" * 300,
    "",
    "x" * 99_999,
]


def test_a_strange_client_header_loses_no_report(cut: str) -> None:
    confirmed = 0
    for client in STRANGE:
        properties = persistent(headers={"client_id": client})
        with Administration(cut, name="test") as admin:
            try:
                admin.publish(
                    exchange=REPORTS, routing_key=REPORTS, body=b"?", properties=properties
                )
                confirmed += 1
            except BrokerUnavailable:
                # RabbitMQ 4 closes the connection of such a client: nobody else's, and nothing of
                # it is confirmed.
                assert not isinstance(client, str | None)
    assert confirmed >= 2
    assert sum(len(bodies) for bodies in taken(cut, 3).values()) == confirmed


STEPS: list[Callable[[Administration], object]] = [
    lambda admin: admin.declare(one for one in queues(3) if not is_reports(one.name)),
    lambda admin: admin.declare(report_queues(3)[:1]),
    lambda admin: admin.declare(report_queues(3)[:2]),
    lambda admin: admin.declare(report_queues(3)),
    lambda admin: extend(admin, 3),
]


def test_every_report_has_a_way_whenever_the_command_is_interrupted(amqp_url: str) -> None:
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        for step in STEPS:
            step(admin)
            publish_all(amqp_url)
            came = [
                body for bodies in taken(amqp_url, count_shards(admin)).values() for body in bodies
            ]
            assert {*came} == {client.bytes for client in CLIENTS}
            assert step is not STEPS[-1] or len(came) == len(CLIENTS)


def test_shards_are_added_and_never_taken_away(cut: str, tmp_path: Path) -> None:
    site = Site(tmp_path, cut, "")
    assert site.run("topology", "shards") == "3 shards\n"
    assert site.run("topology", "shards", "4") == "4 shards\n"
    refused = commands.run(
        *("topology", "shards", "2"),
        env=commands.bare_environment(tmp_path) | {"STATESYS_AMQP_URL": cut},
    )
    assert refused.returncode == 2
    assert "there are 4 shards" in refused.stderr


def checked(endpoints: Endpoints, url: str, directory: Path) -> dict[str, list[str]]:
    done = commands.run(
        *("topology", "check", "--json"),
        env=commands.bare_environment(directory)
        | {"STATESYS_AMQP_URL": url, "STATESYS_MANAGEMENT_URL": endpoints.management_url},
    )
    assert done.returncode in {0, 3}, done.stderr
    found = {one["what"]: one["problems"] for one in json.loads(done.stdout)["checked"]}
    assert len(found) == len(queues(3)) + 2
    return {what: problems for what, problems in found.items() if problems}


def test_the_check_finds_what_spoils_the_shards(
    endpoints: Endpoints, cut: str, management: Management, tmp_path: Path
) -> None:
    assert checked(endpoints, cut, tmp_path) == {}
    # What a worker of an older release binds again.
    with Administration(cut, name="test") as admin:
        admin.declare(QUEUES)
    (problem,) = checked(endpoints, cut, tmp_path)[f"exchange {REPORTS}"]
    assert problem.startswith(f"is still bound to queue '{REPORTS}'")
    Site(tmp_path, cut, "").run("topology", "shards", "3")
    assert checked(endpoints, cut, tmp_path) == {}
    where = (vhost(cut), "e", SPREAD.name, "q", "statesys.dead")
    management.call("POST", "bindings", *where, body={"routing_key": "5"})
    (problem,) = checked(endpoints, cut, tmp_path)[f"exchange {SPREAD.name}"]
    assert problem.startswith("is bound to queue 'statesys.dead' with weight 5")


def documented_rights(user: str) -> tuple[str, str, str]:
    """The patterns (configure, write, read) of the page."""
    (block, *_) = blocks("RabbitMQ users with the least rights", "sh")
    found = re.search(
        rf"set_permissions --vhost statesys statesys-{user}\s(.+?)(?=\nrab)", block, re.S
    )
    assert found is not None
    configure, write, read = shlex.split(found[1].replace("\\\n", " "))
    return configure, write, read


def test_the_documented_rights_are_enough(
    amqp_url: str, database_url: str, management: Management, tmp_path: Path
) -> None:
    site = Site(tmp_path, amqp_url, database_url)
    with ExitStack() as running:
        installer, relay, loader = (
            running.enter_context(user_with(management, amqp_url, documented_rights(user)))
            for user in ("installer", "relay", "loader")
        )
        with Administration(installer, name="test") as admin:
            admin.declare(QUEUES)
        workers = [
            running.enter_context(site.start("relay", amqp_url=relay)),
            running.enter_context(site.start("loader", amqp_url=loader)),
        ]
        for worker in workers:
            worker.await_event(f"{worker.name}.consuming")
        Site(tmp_path, installer, database_url).run("topology", "shards", "3")
        publish_all(amqp_url)
        with Administration(amqp_url, name="test") as admin:
            for queue in incoming(3):
                admin.publish(routing_key=queue, body=b"?", properties=persistent())
        # None of them can be read, so each becomes a dead letter of the worker that took it.
        wait_until(
            lambda: ready(amqp_url, DEAD) == len(CLIENTS) + len(incoming(3)),
            timeout=PATIENCE,
            what="all dead letters",
        )
        with Administration(amqp_url, name="test") as admin:
            letters = [letter for letter, _ in Box(admin).look()]
        assert {letter.queue for letter in letters} == {*work(3)}
        assert all(letter.replayable for letter in letters)


def test_a_shard_that_loses_its_queue_of_reports_gets_it_back(
    cut: str, management: Management
) -> None:
    management.call("DELETE", "queues", vhost(cut), in_shard(REPORTS, 1))
    with Administration(cut, name="test") as admin:
        assert count_shards(admin) == 3
        admin.declare(queues(count_shards(admin)))
    publish_all(cut)
    assert [len(bodies) > 0 for bodies in taken(cut, 3).values()] == [True] * 3


def test_status_shows_each_shard_and_who_reads_it(cut: str, tmp_path: Path) -> None:
    publish_all(cut)
    env = commands.bare_environment(tmp_path) | {"STATESYS_AMQP_URL": cut}
    found = json.loads(commands.run("status", "--json", env=env).stdout)["broker"]["queues"]
    assert [one["name"] for one in found] == [queue.name for queue in queues(3)]
    assert sum(one["ready"] for one in found if shard_of(one["name"]) is not None) == len(CLIENTS)


def test_a_foreign_exchange_of_that_name_is_refused(amqp_url: str, management: Management) -> None:
    body = {"type": "direct", "durable": True}
    management.call("PUT", "exchanges", vhost(amqp_url), SPREAD.name, body=body)
    with Administration(amqp_url, name="test") as admin:
        with pytest.raises(TopologyWrong, match="needed is 'x-consistent-hash'"):
            extend(admin, 2)
        admin.declare(QUEUES)
        assert PUBLISHED.name == REPORTS
    publish(amqp_url, None)
    assert len(take_all(amqp_url, REPORTS)) == 1
