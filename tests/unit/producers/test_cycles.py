"""Forward cycles, heartbeats and answers of many clients in one transaction."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from structlog.testing import capture_logs

from producers.cycles import answer_requests, forward_cycles, forward_heartbeats
from producers.plan import Plan
from producers.store import OutboxReport, Store
from schemas.digest import digest
from schemas.report import HEARTBEAT_TOPIC, RESYNC_TOPIC, Report
from schemas.report_reader import parse_report
from schemas.resync import ResyncReason, ResyncRequest, render_request
from tests.support.fleet_strategies import NOW
from tests.support.stores import OpenStore

MINUTE = timedelta(minutes=1)


def outbox(store: Store) -> list[OutboxReport]:
    return store.outgoing_after(0, 100_000)


def reports(store: Store) -> list[Report]:
    return [parse_report(outgoing.body) for outgoing in outbox(store)]


def live(store: Store, plan: Plan, cycles: int = 5) -> None:
    for cycle in range(cycles):
        forward_cycles(store, plan, 0, plan.clients, NOW + cycle * MINUTE)


def a_request(store: Store, highest_serial: int = 0) -> ResyncRequest:
    client_id = next(store.clients()).client_id
    return ResyncRequest(uuid4(), client_id, ResyncReason.MISSING, highest_serial, NOW)


def test_the_same_seed_makes_the_same_bytes_however_clients_are_grouped(tmp_path: Path) -> None:
    plan = Plan(clients=30, seed=5, faults={"loss": 0.1, "corrupt": 0.1, "reorder": 0.1})

    def lived(name: str, at_a_time: int) -> list[tuple[UUID, int, bytes]]:
        with Store(tmp_path / name, seed=5, clients=30, now=NOW) as store:
            for cycle in range(5):
                for first in range(0, 30, at_a_time):
                    forward_cycles(store, plan, first, first + at_a_time, NOW + cycle * MINUTE)
            store.release_held()
            return sorted((o.client_id, o.first_serial, o.body) for o in outbox(store))

    assert lived("a", 30) == lived("b", 10)


def test_serials_of_a_client_have_no_gaps(open_owned: OpenStore) -> None:
    store = open_owned(clients=40)

    live(store, Plan(clients=40))

    for client in store.clients():
        numbered = {m.serial for m in store.sent(client.client_id)}
        assert numbered == set(range(1, client.last_serial + 1))


def test_every_report_is_what_the_ledger_says(open_owned: OpenStore) -> None:
    store = open_owned(clients=40)
    live(store, Plan(clients=40))

    said = {(r.client_id, m.serial, digest(m)) for r in reports(store) for m in r.messages}
    assert said == {(m.client_id, m.serial, m.digest) for m in store.sent()}


def test_the_store_keeps_the_last_state_of_each_topic(open_owned: OpenStore) -> None:
    store = open_owned(clients=40)
    live(store, Plan(clients=40))
    forward_heartbeats(store, range(40), NOW + 5 * MINUTE)

    latest = {
        (r.client_id, *m.topic): m.serial
        for r in reports(store)
        for m in r.messages
        if m.topic_type != HEARTBEAT_TOPIC
    }
    kept = {(s.client_id, s.topic_type, s.topic_id, s.user_sid): s.serial for s in store.states()}
    assert kept == latest


def test_a_client_that_was_away_forwards_what_it_recorded_later(open_owned: OpenStore) -> None:
    store = open_owned(clients=200)
    forward_cycles(store, Plan(clients=200), 0, 200, NOW)
    waiting = store.unsent_between(0, 200)
    assert waiting

    forward_heartbeats(store, waiting, NOW + MINUTE)

    assert not store.unsent_between(0, 200)
    assert all(state.serial is not None for state in store.states())


def test_a_heartbeat_comes_last_and_is_no_state(open_owned: OpenStore) -> None:
    store = open_owned(clients=3)

    forward_heartbeats(store, [0, 2], NOW)

    beats = reports(store)
    assert [m.topic_type for r in beats for m in r.messages] == [HEARTBEAT_TOPIC] * 2
    assert not list(store.states())
    assert store.totals().heartbeats == 2


def test_only_quiet_clients_are_found_quiet(open_owned: OpenStore) -> None:
    store = open_owned(clients=5)
    forward_heartbeats(store, [1, 3], NOW + MINUTE)

    now = NOW + MINUTE
    assert store.quiet_clients(5, NOW, now, 10) == [0, 2, 4]
    assert store.quiet_clients(4, NOW, now, 1) == [0]
    assert store.quiet_clients(5, NOW - MINUTE, now, 10) == []


def test_a_clock_that_was_set_back_makes_no_client_silent(open_owned: OpenStore) -> None:
    store = open_owned(clients=2)
    forward_heartbeats(store, [1], NOW + 60 * MINUTE)

    assert store.quiet_clients(2, NOW - MINUTE, NOW, 10) == [1]


def test_faults_are_noted_and_happen(open_owned: OpenStore) -> None:
    rates = {"loss": 0.2, "duplicate": 0.2, "reorder": 0.2, "corrupt": 0.2}
    store = open_owned(clients=50)

    live(store, Plan(clients=50, faults=rates))
    store.release_held()

    noted = store.injected_by_kind()
    assert noted.keys() == rates.keys()
    by_kind = {kind: [f for f in store.injected() if f.fault == kind] for kind in rates}
    ranges = [(r.client_id, r.first_serial) for r in store.outbox_ranges()]
    for kind, copies in {"loss": 0, "duplicate": 2, "reorder": 1, "corrupt": 1}.items():
        assert len(by_kind[kind]) == noted[kind]
        for fault in by_kind[kind]:
            assert ranges.count((fault.client_id, fault.first_serial)) == copies
    # Lost and damaged reports were numbered too.
    numbered = {(m.client_id, m.serial) for m in store.sent()}
    assert all((f.client_id, f.first_serial) in numbered for f in store.injected())


def test_an_answer_has_every_state_also_what_was_not_sent(open_owned: OpenStore) -> None:
    store = open_owned(clients=200)
    plan = Plan(clients=200)
    live(store, plan, cycles=1)
    for number, unsent in store.unsent_between(0, 200).items():
        ((client, _),) = store.clients_between(number, number + 1)
        request = ResyncRequest(uuid4(), client.client_id, ResyncReason.OPERATOR, 500, NOW)

        answer_requests(store, [render_request(request)], NOW)

        assert all(s.serial and s.serial > 500 for s in store.states(client.client_id))
        (outgoing,) = (r for r in outbox(store) if r.client_id == client.client_id)
        answered = parse_report(outgoing.body)
        assert answered.messages[0].topic_type == RESYNC_TOPIC
        assert len(answered.messages) == 1 + len(unsent)
    assert not store.unsent_between(0, 200)


def test_each_request_is_answered_once_also_after_a_restart(open_owned: OpenStore) -> None:
    store = open_owned()
    body = render_request(a_request(store))

    answer_requests(store, [body, body], NOW)
    answer_requests(store, [body], NOW)
    store.close()
    store = open_owned()
    with capture_logs() as logs:
        answer_requests(store, [body], NOW)

    assert len(outbox(store)) == 1
    assert [line["event"] for line in logs] == ["client.request_repeated"]


def test_a_second_request_has_an_answer_of_its_own(open_owned: OpenStore) -> None:
    store = open_owned()
    requests = [a_request(store, 7), a_request(store, 3)]

    answer_requests(store, map(render_request, requests), NOW)

    assert [(a.first_serial, a.last_serial) for a in store.answers()] == [(8, 8), (9, 9)]
    assert [o.correlation_id for o in outbox(store)] == [r.request_id for r in requests]


def test_requests_that_cannot_be_answered_are_told_and_put_aside(open_owned: OpenStore) -> None:
    store = open_owned()
    stranger = ResyncRequest(uuid4(), uuid4(), ResyncReason.MISSING, 0, NOW)
    endless = a_request(store, 2**63 - 2)

    with capture_logs() as logs:
        answer_requests(store, [b"<junk", render_request(stranger), render_request(endless)], NOW)

    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", "client.request_refused"),
        ("warning", "client.request_unknown"),
        ("warning", "client.request_refused"),
    ]
    assert store.outbox_is_empty()
