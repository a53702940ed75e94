"""A relay process that is stopped, killed, cut off or refused: nothing is lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from relay import service
from runtime.broker import persistent
from runtime.settings import load_settings
from runtime.workers import read_heartbeats
from schemas.report import Lane
from schemas.topology import DEAD, INCOMING, REPORTS
from schemas.workers import Role
from tests.support.brokers import cut, vhost
from tests.support.heartbeats import await_next_file
from tests.support.management import Management
from tests.support.processes import PATIENCE
from tests.support.relays import RelayProcess, World, good, ids
from tests.support.waiting import wait_until

NORMAL = INCOMING[Lane.NORMAL]


@contextmanager
def running(world: World, directory: Path, *flags: str) -> Iterator[RelayProcess]:
    """A relay that consumes."""
    with RelayProcess(world, directory, *flags) as relay:
        relay.await_event("relay.consuming")
        yield relay


def finish(world: World, directory: Path) -> None:
    """Let another relay send the remaining reports."""
    with RelayProcess(world, directory, "--exit-when-empty") as relay:
        assert relay.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_relay_finishes_the_batch_in_hand(
    world: World, tmp_path: Path, number: signal.Signals
) -> None:
    # It lingers for an hour: only the stop can close the batch.
    with running(world, tmp_path, "--linger", "1h") as relay:
        world.publish(good(50))
        # The broker counts reports as delivered before the relay has read them.
        wait_until(
            lambda: [heartbeat["held"] for heartbeat in read_heartbeats(tmp_path, "relay")] == [50],
            timeout=PATIENCE,
            what="the relay to take all",
        )
        relay.send(number)
        assert relay.end() == 0
        assert relay.events("relay.stopped")
    # Unacked reports would be ready again, since the connection is closed.
    assert world.ready(REPORTS) == 0
    assert world.relayed() == ids(good(50))


def test_a_second_signal_stops_at_once_and_nothing_is_lost(
    world: World, tmp_path: Path, management: Management
) -> None:
    with running(world, tmp_path) as relay:
        management.call("DELETE", "queues", vhost(world.amqp_url), NORMAL)
        world.publish(good(1))
        relay.await_event("relay.not_sent")
        relay.send(signal.SIGTERM)
        relay.await_event("relay.stopping")
        relay.send(signal.SIGTERM)
        assert relay.end() == 128 + signal.SIGTERM
    finish(world, tmp_path)
    assert world.relayed() == ["1"]


def test_a_relay_that_waits_for_a_confirm_before_its_end_gives_signs_of_life(
    world: World, tmp_path: Path, management: Management, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The batch is returned, and not published again before the end.
    monkeypatch.setattr(service, "_AGAIN_AFTER", 60.0)
    monkeypatch.setattr(service, "_FINISH_TIMEOUT", 10.0)
    settings = load_settings(home=tmp_path, amqp_url=world.amqp_url, batch_linger="1h")
    stop = threading.Event()
    relay = threading.Thread(target=service.Relay(settings, stop).run)
    relay.start()
    try:
        world.publish(good(1))
        wait_until(
            lambda: [beat["held"] for beat in read_heartbeats(tmp_path, "relay")] == [1],
            what="the relay to hold the report",
        )
        management.call("DELETE", "queues", vhost(world.amqp_url), NORMAL)
        stop.set()
        # The first one may be of the moment before the stop was noticed.
        for _ in range(2):
            await_next_file(tmp_path, Role.RELAY)
    finally:
        stop.set()
        relay.join(PATIENCE)


def test_a_killed_relay_loses_nothing(world: World, tmp_path: Path) -> None:
    reports = good(3000)
    world.publish(reports)
    with running(world, tmp_path, "--batch-size", "2") as relay:
        relay.await_event("relay.batch_sent")
        relay.send(signal.SIGKILL)
        relay.end()
    assert world.ready(NORMAL)
    wait_until(lambda: world.ready(REPORTS), what="the broker to take the rest back")
    finish(world, tmp_path)
    assert set(world.relayed()) == set(ids(reports))
    assert world.ready(REPORTS) == 0


@pytest.mark.parametrize("role", ["consume", "publish"])
def test_a_relay_that_is_cut_off_connects_again(
    world: World, tmp_path: Path, management: Management, role: str
) -> None:
    with running(world, tmp_path) as relay:
        world.publish(good(500))
        world.publish(good(500, first=501))
        cut(management, world.amqp_url, f"statesys relay {role}")
        waiting = relay.await_event("worker.waiting")
        assert "RabbitMQ" in waiting["why"]
        world.publish(good(500, first=1001))
        wait_until(
            lambda: len(relay.events("relay.consuming")) == 2,
            timeout=PATIENCE,
            what="the relay to come back",
        )
        relay.send(signal.SIGTERM)
        assert relay.end() == 0
    finish(world, tmp_path)
    assert set(world.relayed()) == set(ids(good(1500)))


def test_a_batch_that_no_queue_takes_is_not_acked(
    world: World, tmp_path: Path, management: Management
) -> None:
    with running(world, tmp_path) as relay:
        management.call("DELETE", "queues", vhost(world.amqp_url), NORMAL)
        world.publish(good(10))
        assert "returned" in relay.await_event("relay.not_sent")["why"]
        relay.send(signal.SIGKILL)
        relay.end()
    finish(world, tmp_path)
    assert set(world.relayed()) == set(ids(good(10)))


def test_a_batch_that_the_broker_refuses_is_not_acked(
    world: World, tmp_path: Path, management: Management
) -> None:
    full = {"max-length": 1, "overflow": "reject-publish"}
    limit = {"pattern": f"^{NORMAL}$", "definition": full, "apply-to": "queues"}
    policy = ("policies", vhost(world.amqp_url), "full")
    management.call("PUT", *policy, body=limit)
    serials = count(1)
    with running(world, tmp_path) as relay:

        def refused() -> bool:
            world.publish(good(1, first=next(serials)))
            return bool(relay.events("relay.not_sent"))

        wait_until(refused, timeout=PATIENCE, what="the limit to take effect")
        assert "nack" in relay.events("relay.not_sent")[0]["why"]
        relay.send(signal.SIGKILL)
        relay.end()
    management.call("DELETE", *policy)
    finish(world, tmp_path)
    assert set(world.relayed()) == set(ids(good(next(serials) - 1)))


def test_a_batch_is_sent_again_once_its_queue_is_there(
    world: World, tmp_path: Path, management: Management
) -> None:
    with running(world, tmp_path) as relay:
        management.call("DELETE", "queues", vhost(world.amqp_url), NORMAL)
        world.publish(good(10))
        relay.await_event("relay.not_sent")
        # The relay declares the missing queue.
        relay.await_event("relay.batch_sent")
        relay.send(signal.SIGTERM)
        assert relay.end() == 0
    assert world.relayed() == ids(good(10))
    assert world.ready(REPORTS) == 0


def test_a_letter_that_nobody_takes_holds_up_no_report(
    world: World, tmp_path: Path, management: Management
) -> None:
    with running(world, tmp_path) as relay:
        management.call("DELETE", "queues", vhost(world.amqp_url), DEAD)
        world.publish([(b"<broken", persistent()), *good(3000)])
        relay.await_event("relay.not_sent")
        wait_until(
            lambda: sum(e["reports"] for e in relay.events("relay.batch_sent")) >= 3000,
            timeout=PATIENCE,
            what="all reports to be sent",
        )
        relay.await_event("relay.report_refused")
        relay.send(signal.SIGTERM)
        assert relay.end() == 0
    assert world.relayed() == ids(good(3000))
    assert [letter.body for letter in world.dead()] == [b"<broken"]
    assert world.ready(REPORTS) == 0


def test_a_report_whose_letter_nobody_takes_is_not_acked(
    world: World, tmp_path: Path, management: Management
) -> None:
    with running(world, tmp_path) as relay:
        management.call("DELETE", "queues", vhost(world.amqp_url), DEAD)
        world.publish([(b"<broken", persistent())])
        assert "returned" in relay.await_event("relay.not_sent")["why"]
        relay.send(signal.SIGKILL)
        relay.end()
    finish(world, tmp_path)
    assert [letter.body for letter in world.dead()] == [b"<broken"]


def test_two_relays_share_a_queue(world: World, tmp_path: Path) -> None:
    with running(world, tmp_path) as one, running(world, tmp_path) as other:
        world.publish(good(1000))
        for relay in (one, other):
            relay.await_event("relay.batch_sent")
        wait_until(
            lambda: (
                sum(e["reports"] for r in (one, other) for e in r.events("relay.batch_sent"))
                >= 1000
            ),
            timeout=PATIENCE,
            what="all reports to be sent",
        )
        for relay in (one, other):
            relay.send(signal.SIGTERM)
            assert relay.end() == 0
    assert sorted(map(str, world.relayed())) == sorted(ids(good(1000)))


def test_a_queue_that_was_replaced_meanwhile_is_refused_after_a_lost_connection(
    world: World, tmp_path: Path, management: Management
) -> None:
    with running(world, tmp_path, "--linger", "1h") as relay:
        world.publish(good(10))
        wait_until(lambda: world.ready(REPORTS) == 0, what="the relay to take all")
        management.call("DELETE", "queues", vhost(world.amqp_url), NORMAL)
        management.call("PUT", "queues", vhost(world.amqp_url), NORMAL, body={"durable": False})
        cut(management, world.amqp_url, "statesys relay consume")
        assert relay.end() == 3
        assert f"queue '{NORMAL}' exists" in relay.text
        assert relay.text.count("relay.consuming") == 1
    wait_until(lambda: world.ready(REPORTS) == 10, what="the reports to be back")
