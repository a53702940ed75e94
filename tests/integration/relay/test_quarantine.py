"""A relay sets the reports of quarantined clients aside, and learns of the list without a database.

The list is put into its queue as a loader does it.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from console.dead.box import Box
from relay import service
from runtime.broker import Properties, persistent
from runtime.broker.dead_letters import DETAIL, FIRST_REFUSED_AT, QUEUE, REASON, STAGE
from runtime.settings import load_settings
from runtime.workers import read_heartbeats
from schemas.quarantine import MAX_QUARANTINED, render_quarantine
from schemas.report import Lane
from schemas.topology import DEAD, INCOMING, QUARANTINE, REPORTS, WORKERS
from schemas.workers import WorkerHeartbeat, parse_heartbeat
from tests.support.documents import TIME, message, report
from tests.support.management import Management
from tests.support.relays import RelayProcess, World, good, ids
from tests.support.restricted import OLD_RELAY, user_with
from tests.support.waiting import wait_until

STORM, CALM = UUID(int=1, version=4), UUID(int=2, version=4)
#: Seconds; the relay looks every 15.
SOON = 40


def of(client: UUID, count: int, *, first: int = 1) -> list[tuple[bytes, Properties]]:
    """Reports of a client in canonical form; the message ids are client and serial."""
    machine = f"<ClientID>GUID:{str(client).upper()}</ClientID>"
    return [
        (
            report(message(serial=str(n)), machine=machine).encode("utf-16"),
            persistent(message_id=f"{client.int & 3} {n}"),
        )
        for n in range(first, first + count)
    ]


def odd(client: UUID, serial: int) -> tuple[bytes, Properties]:
    """A report that only the full reader reads: the client id has an attribute."""
    machine = f'<!-- odd --><ClientID a="b">{str(client).upper()}</ClientID>'
    text = report(message(serial=str(serial)), machine=machine, date=f"<Date>{TIME}</Date>")
    return text.encode(), persistent(message_id=f"odd {serial}")


def tell(world: World, *clients: UUID, body: bytes | None = None) -> None:
    """Publish the list of quarantined clients."""
    with world.admin() as admin:
        admin.publish(
            routing_key=QUARANTINE,
            body=render_quarantine(clients) if body is None else body,
            properties=persistent(),
        )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relays of this process look five times a second."""
    monkeypatch.setattr(service, "REPORT_INTERVAL", timedelta(seconds=0.2))


@contextmanager
def relaying(url: str, home: Path) -> Iterator[service.Relay]:
    """A relay in this process; what ended it is raised."""
    stop = threading.Event()
    failures: list[BaseException] = []
    relay = service.Relay(load_settings(home=home, amqp_url=url), stop)

    def run() -> None:
        try:
            relay.run()
        except BaseException as error:  # noqa: BLE001 (raised below, in the test's thread)
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield relay
    finally:
        stop.set()
        thread.join(60)
    if failures:
        raise failures[0]


def note(home: Path) -> str:
    """What the relay's heartbeat file tells an operator; it is written every second."""
    return " ".join(str(words["note"] or "") for words in read_heartbeats(home, "relay"))


def noted(home: Path, words: str) -> bool:
    return words in note(home)


def heartbeats(world: World) -> list[WorkerHeartbeat]:
    return [parse_heartbeat(delivery.body) for delivery in world.take_all(WORKERS)]


def test_its_reports_are_set_aside_in_either_shape_and_others_pass(
    world: World, tmp_path: Path
) -> None:
    tell(world, STORM)
    world.publish([*of(STORM, 3), odd(STORM, 4), *of(CALM, 3), odd(CALM, 5)])
    with RelayProcess(world, tmp_path, "--exit-when-empty") as relay:
        assert relay.end() == 0
    assert sorted(map(str, world.relayed())) == ["2 1", "2 2", "2 3", "odd 5"]
    letters = world.dead()
    assert sorted(str(letter.properties.message_id) for letter in letters) == [
        *("1 1", "1 2", "1 3", "odd 4")
    ]
    for letter in letters:
        found = letter.properties.headers or {}
        assert (found[STAGE], found[REASON], found[QUEUE]) == ("relay", "quarantined", REPORTS)
        assert found[DETAIL] == f"client {STORM} is quarantined"
    assert world.ready(QUARANTINE) == 1, "the list is there for the next relay"
    (last,) = (one for one in heartbeats(world) if one.ended)
    assert last.counters == (8, 1, 0, 4, 4, 4)
    assert last.counts == {"refused.quarantined": 4}


def test_a_report_that_breaks_the_contract_keeps_its_own_reason(
    world: World, tmp_path: Path
) -> None:
    tell(world, STORM)
    machine = f"<ClientID>GUID:{str(STORM).upper()}</ClientID>"
    world.publish([(report("", machine=machine).encode(), persistent())])
    with RelayProcess(world, tmp_path, "--exit-when-empty") as relay:
        assert relay.end() == 0
    assert [(d.properties.headers or {})[REASON] for d in world.dead()] == ["no_state_message"]


def test_a_relay_at_work_follows_the_list_and_two_relays_share_it(
    world: World, tmp_path: Path
) -> None:
    with RelayProcess(world, tmp_path) as one, RelayProcess(world, tmp_path) as other:
        for relay in (one, other):
            relay.await_event("relay.consuming")
        tell(world, STORM)
        for relay in (one, other):
            relay.await_event("relay.quarantine_changed", holding='"clients": 1')
        world.publish(of(STORM, 40))
        wait_until(lambda: world.ready(DEAD) == 40, timeout=SOON, what="forty dead letters")
        tell(world)
        for relay in (one, other):
            relay.await_event("relay.quarantine_changed", holding='"clients": 0')
        world.publish(of(STORM, 40, first=41))
        wait_until(lambda: world.ready(REPORTS) == 0, timeout=SOON, what="the reports to pass")
        for relay in (one, other):
            relay.send(signal.SIGTERM)
            assert relay.end() == 0
    assert len(world.relayed()) == 40
    assert len(world.dead()) == 40


def test_a_newer_list_takes_the_place_of_one_that_a_relay_holds(world: World) -> None:
    tell(world, STORM)
    with world.admin() as admin:
        old = admin.take(QUARANTINE)
        assert old is not None
        tell(world, CALM)
        admin.requeue(old.tag)
    wait_until(lambda: world.ready(QUARANTINE) == 1, what="one list to be left")
    (left,) = world.take_all(QUARANTINE)
    assert left.body == render_quarantine([CALM])


@pytest.mark.usefixtures("quick")
def test_the_last_list_counts_while_there_is_none_and_while_it_is_unreadable(
    world: World, tmp_path: Path
) -> None:
    tell(world, STORM)
    with relaying(world.amqp_url, tmp_path) as relay:
        wait_until(lambda: relay._quarantine.clients, what="the list")
        hostile = (b"", b"\x00\xff", b"[]", b'{"clients": [1]}', b"[" * 9999, b"x" * 2_000_000)
        for body in hostile:
            tell(world, body=body)
            wait_until(lambda: "unreadable" in note(tmp_path), what="a note")
        with world.admin() as admin:
            admin.purge(QUARANTINE)
        world.publish(of(STORM, 5))
        wait_until(lambda: world.ready(DEAD) == 5, what="dead letters")
        tell(world, CALM)
        wait_until(lambda: relay._quarantine.clients == {str(CALM)}, what="the new list")
        wait_until(lambda: "unreadable" not in note(tmp_path), what="the note to go")


@pytest.mark.usefixtures("quick")
def test_the_largest_list_is_read(world: World, tmp_path: Path) -> None:
    tell(world, *(UUID(int=n, version=4) for n in range(MAX_QUARANTINED)))
    with relaying(world.amqp_url, tmp_path) as relay:
        wait_until(
            lambda: len(relay._quarantine.clients) == MAX_QUARANTINED, what="ten thousand clients"
        )


@pytest.mark.usefixtures("quick")
def test_a_relay_reads_the_list_before_its_first_report(world: World, tmp_path: Path) -> None:
    tell(world, STORM)
    world.publish(of(STORM, 200))
    with relaying(world.amqp_url, tmp_path):
        wait_until(lambda: world.ready(REPORTS) == 0 and world.ready(DEAD) == 200, what="the end")
    assert world.relayed() == []


def test_a_replayed_letter_comes_back_once_and_passes_after_the_release(
    world: World, tmp_path: Path
) -> None:
    def replay() -> int:
        with world.admin() as admin:
            moved = Box(admin).replay(lambda letter: letter.reason == "quarantined")
        with RelayProcess(world, tmp_path, "--exit-when-empty") as relay:
            assert relay.end() == 0
        return len(moved.done)

    tell(world, STORM)
    world.publish(of(STORM, 3))
    with RelayProcess(world, tmp_path, "--exit-when-empty") as relay:
        assert relay.end() == 0
    with world.admin() as admin:
        before = {letter.name: letter.first_refused_at for letter, _ in Box(admin).look()}
    assert replay() == 3
    with world.admin() as admin:
        after = {letter.name: letter.first_refused_at for letter, _ in Box(admin).look()}
    assert after == before, f"they are dead letters again; {FIRST_REFUSED_AT} is kept"
    tell(world)
    assert replay() == 3
    assert sorted(map(str, world.relayed())) == ["1 1", "1 2", "1 3"]
    assert world.dead() == []


# -- rights and queues that are missing ---------------------------------------------------------


def test_a_relay_with_the_rights_of_an_old_site_works_and_says_what_it_lacks(
    world: World, management: Management, tmp_path: Path
) -> None:
    with user_with(management, world.amqp_url, OLD_RELAY) as url:
        world.publish(good(5))
        old = World.__new__(World)
        old.amqp_url = url
        with RelayProcess(old, tmp_path) as relay:
            told = relay.await_event("relay.quarantine_unknown")
            assert f"read access to queue '{QUARANTINE}'" in told["why"]
            wait_until(lambda: "quarantined clients" in note(tmp_path), what="a note")
            wait_until(lambda: world.ready(WORKERS) > 0, what="a heartbeat")
            relay.send(signal.SIGTERM)
            assert relay.end() == 0
            assert len(relay.events("relay.quarantine_unknown")) == 1
    assert sorted(map(str, world.relayed())) == sorted(ids(good(5)))


@pytest.mark.usefixtures("quick")
def test_a_relay_on_an_old_site_without_the_queues_works_and_says_so_once(
    world: World, management: Management, tmp_path: Path
) -> None:
    with world.admin() as admin:
        for queue in (WORKERS, QUARANTINE):
            admin._channel.queue_delete(queue)
    with (
        capture_logs() as logged,
        user_with(management, world.amqp_url, OLD_RELAY) as url,
        relaying(url, tmp_path),
    ):
        for words in (f"queue '{WORKERS}'", "heartbeats are not published", "cannot be read"):
            wait_until(partial(noted, tmp_path, words), what=words)
        world.publish(good(5))
        wait_until(lambda: world.ready(INCOMING[Lane.NORMAL]) > 0, what="a batch")
    assert sorted(map(str, world.relayed())) == sorted(ids(good(5)))
    events = [line["event"] for line in logged]
    assert events.count("worker.heartbeat_not_sent") == 1
    assert events.count("relay.quarantine_unknown") == 1


@pytest.mark.usefixtures("quick")
def test_queues_that_are_purged_or_deleted_stop_no_relay(world: World, tmp_path: Path) -> None:
    tell(world, STORM)
    with relaying(world.amqp_url, tmp_path) as relay:
        wait_until(lambda: relay._quarantine.clients, what="the list")
        with world.admin() as admin:
            for queue in (WORKERS, QUARANTINE):
                admin.purge(queue)
            wait_until(lambda: world.ready(WORKERS) > 0, what="a heartbeat")
            for queue in (WORKERS, QUARANTINE):
                admin._channel.queue_delete(queue)
        wait_until(lambda: "does not exist" in note(tmp_path), what="a note")
        world.publish([*of(STORM, 2), *of(CALM, 2)])
        wait_until(lambda: world.ready(DEAD) == 2, what="dead letters")
        World(world.amqp_url)
        wait_until(lambda: world.ready(WORKERS) > 0, what="a heartbeat")
    assert world.relayed() == ["2 1", "2 2"]
