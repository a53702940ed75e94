"""A fleet against a real broker."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from producers import fleet as fleet_module
from producers.cycles import forward_cycles
from producers.fleet import Fleet, Progress
from producers.plan import Plan
from producers.publisher import Publisher
from producers.store import Store, StoreReader
from runtime.broker import Administration, Delivery, persistent
from schemas import topology
from schemas.errors import BrokerUnavailable, Refused, StatesysError
from schemas.report import HEARTBEAT_TOPIC
from schemas.report_reader import parse_report
from schemas.resync import ResyncReason, ResyncRequest, render_request
from tests.support.arrivals import headers, messages, reports, taken
from tests.support.fleet_strategies import NOW
from tests.support.management import Management
from tests.support.processes import ready
from tests.support.stores import OpenStore
from tests.support.waiting import wait_until

SHORT = timedelta(milliseconds=300)
LONG = timedelta(hours=1)


def ask(amqp_url: str, store_id: UUID, request: ResyncRequest) -> None:
    with Administration(amqp_url, name="test") as broker:
        broker.publish(
            routing_key=topology.reply_queue(store_id).name,
            body=render_request(request),
            properties=persistent(correlation_id=str(request.request_id)),
        )


def test_everything_that_was_numbered_arrives(open_owned: OpenStore, amqp_url: str) -> None:
    store = open_owned(clients=50)
    with Fleet(store, amqp_url, Plan(clients=50)) as fleet:
        fleet.publish_cycles(3)
        fleet.heartbeat_all()
        fleet.drain()

    assert store.outbox_is_empty()
    assert messages(taken(amqp_url)) == set(store.sent())


def test_reports_have_the_properties_of_the_contract(open_owned: OpenStore, amqp_url: str) -> None:
    store = open_owned(clients=1)
    with Fleet(store, amqp_url, Plan(clients=1), clock=lambda: NOW) as fleet:
        fleet.heartbeat_all()
        fleet.drain()

    (delivery,) = taken(amqp_url)
    properties = delivery.properties
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/xml"
    assert str(UUID(properties.message_id)) == properties.message_id
    assert properties.timestamp == int(NOW.timestamp())
    assert properties.reply_to == topology.reply_queue(store.store_id).name
    assert properties.correlation_id is None
    assert headers(delivery) == {
        "client_id": str(next(store.clients()).client_id),
        "first_serial": 1,
        "last_serial": 1,
        "messages": 1,
    }


def test_faults_happen_and_spare_the_last_heartbeats(open_owned: OpenStore, amqp_url: str) -> None:
    rates = {"loss": 0.1, "duplicate": 0.1, "reorder": 0.1, "corrupt": 0.1}
    store = open_owned(clients=60)
    with Fleet(store, amqp_url, Plan(clients=60, faults=rates)) as fleet:
        fleet.publish_cycles(4)
        fleet.heartbeat_all()
        fleet.drain()
    noted = store.injected_by_kind()
    deliveries = taken(amqp_url)

    broken, whole = [], []
    for delivery in deliveries:
        try:
            parse_report(delivery.body)
        except Refused:
            broken.append(delivery)
        else:
            whole.append(delivery)
    copies = Counter(delivery.properties.message_id for delivery in whole)
    assert len(broken) == noted["corrupt"]
    assert sum(1 for count in copies.values() if count == 2) == noted["duplicate"]
    # The headers of a damaged report still name its client.
    corrupt = {(str(f.client_id), f.first_serial) for f in store.injected() if f.fault == "corrupt"}
    assert {(headers(d)["client_id"], headers(d)["first_serial"]) for d in broken} == corrupt
    missing = {
        (f.client_id, serial)
        for f in store.injected()
        if f.fault in ("loss", "corrupt")
        for serial in range(f.first_serial, f.last_serial + 1)
    }
    assert {m for m in store.sent() if (m.client_id, m.serial) not in missing} == messages(whole)
    beats = [r for r in reports(whole) if r.messages[-1].topic_type == HEARTBEAT_TOPIC]
    assert len(beats) == 60


def test_held_reports_arrive_behind_newer_ones_of_their_client(
    open_owned: OpenStore, amqp_url: str
) -> None:
    store = open_owned(clients=30)
    with Fleet(store, amqp_url, Plan(clients=30, faults={"reorder": 0.2})) as fleet:
        fleet.publish_cycles(5)
        fleet.heartbeat_all()
        fleet.drain()

    order = [(r.client_id, r.messages[0].serial or 0) for r in reports(taken(amqp_url))]
    for fault in store.injected():
        later = order[order.index((fault.client_id, fault.first_serial)) :]
        earlier = order[: -len(later)]
        assert max(s for c, s in earlier if c == fault.client_id) > fault.first_serial


def test_a_second_fleet_publishes_what_the_first_one_left(
    open_owned: OpenStore, amqp_url: str
) -> None:
    store = open_owned(clients=20)
    forward_cycles(store, Plan(clients=20), 0, 20, NOW)
    rendered = {(o.message_id, o.body) for o in store.outgoing_after(0, 100)}
    store.close()

    store = open_owned(clients=20)
    with Fleet(store, amqp_url, Plan(clients=20)) as fleet:
        fleet.drain()

    assert {(UUID(d.properties.message_id), d.body) for d in taken(amqp_url)} == rendered


def test_requests_are_answered_until_the_caller_has_enough(
    open_owned: OpenStore, amqp_url: str
) -> None:
    store = open_owned(clients=5)
    client = next(store.clients())
    with Fleet(store, amqp_url, Plan(clients=5)) as fleet:
        fleet.publish_cycles(3)
        fleet.drain()
        taken(amqp_url)
        request = ResyncRequest(uuid4(), client.client_id, ResyncReason.MISSING, 900, NOW)
        ask(amqp_url, store.store_id, request)
        ask(amqp_url, store.store_id, request)
        fleet.answer_requests(until=lambda: store.totals().answered == 1)
        fleet.drain()

    (answer,) = deliveries = taken(amqp_url)
    assert answer.properties.correlation_id == str(request.request_id)
    (report,) = reports(deliveries)
    assert report.claim is not None
    assert report.claim.request_id == request.request_id
    assert report.claim.first_serial == 901
    states = [m for m in messages(deliveries) if m.serial > 901]
    assert sorted((s.serial, s.digest) for s in states) == sorted(
        (s.serial or 0, s.digest) for s in store.states(client.client_id)
    )


@contextmanager
def living(
    directory: Path,
    amqp_url: str,
    plan: Plan,
    *,
    forward: timedelta,
    heartbeat: timedelta,
    stop: threading.Event | None = None,
) -> Iterator[StoreReader]:
    """Run a fleet in its own thread, and stop it at the end; yields a reader of its store."""
    stop, ready = stop or threading.Event(), threading.Event()

    def live() -> None:
        # The thread that uses a store has to open it.
        with (
            Store(directory, seed=1, clients=plan.clients, now=NOW) as store,
            Fleet(store, amqp_url, plan, stop=stop) as fleet,
        ):
            ready.set()
            fleet.run(forward, heartbeat)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        assert ready.wait(60)
        with StoreReader(directory) as reader:
            yield reader
    finally:
        stop.set()
        thread.join(timeout=20)
    assert not thread.is_alive()


def test_a_living_fleet_forwards_beats_and_answers(directory: Path, amqp_url: str) -> None:
    plan = Plan(clients=8, messages=0.3)
    with living(directory, amqp_url, plan, forward=SHORT, heartbeat=SHORT) as reader:
        wait_until(lambda: reader.totals().heartbeats > 8, what="heartbeats")
        client = next(reader.clients())
        request = ResyncRequest(uuid4(), client.client_id, ResyncReason.OPERATOR, 0, NOW)
        ask(amqp_url, reader.store_id, request)
        wait_until(lambda: reader.totals().answered == 1, what="an answer")


def test_a_living_fleet_goes_on_while_the_broker_is_away(
    directory: Path, amqp_url: str, management: Management
) -> None:
    vhost = urlsplit(amqp_url).path[1:]
    with living(directory, amqp_url, Plan(clients=8), forward=SHORT, heartbeat=LONG) as reader:
        wait_until(lambda: reader.totals().reports > 8, what="reports")
        management.delete_vhost(vhost)
        # The reports of several cycles of all clients.
        wait_until(lambda: reader.totals().outbox > 40, what="a filling outbox")
        waiting = {one.message_id for one in reader.outbox_ranges()}
        management.create_vhost(vhost)
        wait_until(
            lambda: waiting.isdisjoint({one.message_id for one in reader.outbox_ranges()}),
            what="its reports to be taken",
        )
    assert waiting <= {UUID(one.properties.message_id) for one in taken(amqp_url)}


class CountedWaits(threading.Event):
    """A stop event that counts the calls of `wait`."""

    count = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.count += 1
        return super().wait(timeout)


def test_heartbeats_do_not_fill_the_disk_while_the_broker_is_away(
    directory: Path, amqp_url: str, management: Management, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "_AHEAD", 16)
    vhost, stop = urlsplit(amqp_url).path[1:], CountedWaits()
    plan = Plan(clients=8)
    with living(directory, amqp_url, plan, forward=LONG, heartbeat=SHORT, stop=stop) as reader:
        wait_until(lambda: reader.totals().reports > 8, what="heartbeats")
        management.delete_vhost(vhost)
        wait_until(lambda: reader.totals().outbox >= 16, what="a full outbox")
        before = stop.count
        wait_until(lambda: stop.count > before + 20, what="turns without room")
        # One search may exceed the limit by all clients; some reports were unconfirmed before.
        assert reader.totals().outbox <= 16 + 8 + 8
        management.create_vhost(vhost)


def test_a_lost_connection_costs_nothing(
    open_owned: OpenStore, amqp_url: str, management: Management
) -> None:
    vhost = urlsplit(amqp_url).path[1:]
    store = open_owned(clients=300)
    cut: list[str] = []

    def cut_once(progress: Progress) -> None:
        if progress.step == "cycle 3" and not cut:

            def connections() -> list[str]:
                found = management.call("GET", "vhosts", vhost, "connections")
                return [connection["name"] for connection in found]

            cut.extend(wait_until(connections, what="the connection to show"))
            for name in cut:
                management.call("DELETE", "connections", name)

    with Fleet(store, amqp_url, Plan(clients=300), on_progress=cut_once) as fleet:
        fleet.publish_cycles(6)
        fleet.drain()

    assert cut
    assert messages(taken(amqp_url)) == set(store.sent())


def refuses(amqp_url: str) -> bool:
    """Whether the queue of the relay refuses a publish; otherwise it gets an empty report."""
    with Administration(amqp_url, name="test") as broker:
        try:
            broker.publish(routing_key=topology.REPORTS, body=b"", properties=persistent())
        except StatesysError:
            return True
    return False


def test_what_the_broker_refuses_is_published_again(
    open_owned: OpenStore, amqp_url: str, management: Management
) -> None:
    vhost = urlsplit(amqp_url).path[1:]
    store = open_owned(clients=40)
    with Fleet(store, amqp_url, Plan(clients=40)) as fleet:
        full = {"pattern": ".*", "definition": {"max-length": 5}, "apply-to": "queues"}
        management.call("PUT", "policies", vhost, "full", body=full)
        wait_until(lambda: refuses(amqp_url), what="the limit to take effect")
        arrived: list[Delivery] = []
        drained = threading.Event()

        def make_room() -> None:
            while not drained.wait(0.1):
                arrived.extend(taken(amqp_url))

        with capture_logs() as logs:

            def refused() -> list[str]:
                return [e["why"] for e in logs if e["event"] == "producers.publish_refused"]

            def published() -> list[str]:
                # A quorum queue may take some messages above its limit.
                fleet.publish_cycles(1)
                return refused()

            wait_until(published, timeout=60, what="a refusal")
            with ThreadPoolExecutor(1) as pool:
                making_room = pool.submit(make_room)
                try:
                    fleet.drain()
                finally:
                    drained.set()
            making_room.result()
            refusals = refused()
        arrived += taken(amqp_url)

    assert all(why.startswith("nack") for why in refusals)
    assert messages([one for one in arrived if one.body]) == set(store.sent())


def test_what_a_full_queue_refuses_stays_in_the_outbox(
    open_owned: OpenStore, amqp_url: str, management: Management
) -> None:
    vhost = urlsplit(amqp_url).path[1:]
    store = open_owned(clients=20)
    forward_cycles(store, Plan(clients=20), 0, 20, NOW)
    publisher = Publisher(store, amqp_url, stop=threading.Event(), on_requests=lambda _: None)
    publisher.connect()
    full = {"pattern": ".*", "definition": {"max-length": 5}, "apply-to": "queues"}
    management.call("PUT", "policies", vhost, "full", body=full)

    def stepped(enough: Callable[[], object]) -> object:
        publisher.step(0.1)
        return enough()

    wait_until(lambda: refuses(amqp_url), what="the limit to take effect")
    with capture_logs() as logs:
        wait_until(
            lambda: stepped(lambda: [e for e in logs if e["event"] == "producers.publish_refused"]),
            what="a refusal",
        )
    assert not store.outbox_is_empty()
    arrived: list[Delivery] = []

    def emptied() -> bool:
        arrived.extend(taken(amqp_url))
        return publisher.empty()

    wait_until(lambda: stepped(emptied), timeout=60, what="the rest to be taken")
    publisher.close(0)
    arrived += taken(amqp_url)
    assert messages([one for one in arrived if one.body]) == set(store.sent())


def test_a_request_is_not_acked_before_its_answer_is_in_the_store(
    open_owned: OpenStore, amqp_url: str
) -> None:
    store = open_owned(clients=1)

    def full_disk(_bodies: list[bytes]) -> None:
        raise OSError("no room")

    publisher = Publisher(store, amqp_url, stop=threading.Event(), on_requests=full_disk)
    publisher.connect()
    request = ResyncRequest(uuid4(), next(store.clients()).client_id, ResyncReason.OPERATOR, 0, NOW)
    ask(amqp_url, store.store_id, request)
    publisher.listen()
    with pytest.raises(OSError, match="no room"):
        wait_until(lambda: publisher.step(0.1), what="the request")
    publisher.close(0)
    queue = topology.reply_queue(store.store_id).name
    wait_until(lambda: ready(amqp_url, queue) == 1, what="the request to be back")


def test_a_deleted_queue_is_declared_again(
    open_owned: OpenStore, amqp_url: str, management: Management
) -> None:
    store = open_owned(clients=10)
    with Fleet(store, amqp_url, Plan(clients=10)) as fleet:
        management.call("DELETE", "queues", urlsplit(amqp_url).path[1:], topology.REPORTS)
        fleet.publish_cycles(1)
        fleet.drain()

    assert messages(taken(amqp_url)) == set(store.sent())


def test_a_stopped_fleet_leaves_the_rest_in_its_outbox(
    open_owned: OpenStore, amqp_url: str
) -> None:
    store, stop = open_owned(clients=600), threading.Event()

    def stop_soon(progress: Progress) -> None:
        if progress.step == "cycle 2":
            stop.set()

    with Fleet(store, amqp_url, Plan(clients=600), stop=stop, on_progress=stop_soon) as fleet:
        fleet.publish_cycles(100)
        fleet.heartbeat_all()
        fleet.drain()
    assert store.totals().heartbeats == 0
    assert store.totals().reports < 3000

    with Fleet(store, amqp_url, Plan(clients=600)) as fleet:
        fleet.drain()
    assert messages(taken(amqp_url)) == set(store.sent())


def test_a_broker_that_is_away_at_the_start_is_told(store: Store) -> None:
    with pytest.raises(BrokerUnavailable):
        Fleet(store, "amqp://guest:guest@127.0.0.1:1/", Plan(clients=3))


def test_a_patient_fleet_waits_for_the_broker_until_it_is_stopped(store: Store) -> None:
    stop = threading.Event()
    url = "amqp://guest:guest@127.0.0.1:1/"
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    started = time.monotonic()
    with Fleet(store, url, Plan(clients=3), stop=stop, patient=True) as fleet:
        fleet.run(SHORT, LONG)

    assert time.monotonic() - started < 10
    assert store.totals().reports == 0
