"""Hostile clients: client faults, store faults, malformed reports."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.client import Client, forward
from producers.cycles import forward_cycles
from producers.hostile import HOSTILE, MALFORMED, destroys, meaning
from producers.hostile.client_faults import CLIENT_FAULTS, Cycle
from producers.hostile.malformed import REASONS, malformed
from producers.plan import Plan
from producers.store import OutboxReport, Store
from relay.validate import accept
from runtime.broker import Delivery, persistent
from schemas.errors import Refused, SettingsError
from schemas.refusal import Reason
from schemas.report import MAX_REPORT_BYTES, Report, StateMessage
from schemas.report_reader import parse_report
from tests.support.fleet_strategies import NOW, a_client, a_state, clients, messages
from tests.support.stores import OpenStore

MINUTE = timedelta(minutes=1)


def a_cycle(*news: StateMessage) -> Cycle:
    return Cycle(1, 0, 3, 4, NOW, (news,))


def outbox(store: Store) -> list[OutboxReport]:
    return store.outgoing_after(0, 100_000)


def reports(store: Store, number: int = 0) -> list[Report]:
    ((client, _),) = store.clients_between(number, number + 1)
    found = [parse_report(outgoing.body) for outgoing in outbox(store)]
    return [report for report in found if report.client_id == client.client_id]


def live(store: Store, cycles: int, *, clients: int = 1, **hostile: float) -> None:
    plan = Plan(clients=clients, seed=store.seed, hostile=hostile)
    for cycle in range(cycles):
        forward_cycles(store, plan, 0, clients, NOW + cycle * MINUTE)


# -- reports that break the contract --------------------------------------------------------------


def test_every_reason_that_a_relay_can_find_in_a_report_has_a_form() -> None:
    assert set(REASONS) == set(Reason) - {
        Reason.NEWER_FORMAT,
        Reason.QUARANTINED,
        Reason.DATABASE,
        Reason.DELIVERY_LIMIT,
    }


@given(
    client=clients,
    unsent=st.lists(messages, min_size=1, max_size=3),
    number=st.integers(0, 2**64 - 1),
)
def test_a_malformed_report_is_refused_for_its_reason(
    client: Client, unsent: list[StateMessage], number: int
) -> None:
    report = forward(client, unsent, NOW)[0]

    refused_for_its_reason(report.body, number)


@pytest.mark.parametrize("topic_id", ["kb1", '"', "'", "\"'"])
@pytest.mark.parametrize("number", range(20 * len(REASONS)))
def test_every_form_is_refused_for_its_reason(number: int, topic_id: str) -> None:
    state = a_state(topic_id)._replace(params=("a & b",), details="<x/>")
    (report,) = forward(a_client(), [state, a_state("kb2")], NOW)

    refused_for_its_reason(report.body, number)


def refused_for_its_reason(body: bytes, number: int) -> None:
    broken, reason = malformed(body, number)
    delivery = Delivery(1, "", broken, persistent(), redelivered=False)
    with pytest.raises(Refused) as refused:
        accept(delivery, received_at=NOW, max_bytes=MAX_REPORT_BYTES)
    assert refused.value.reason is reason


# -- client faults --------------------------------------------------------------------------------


@pytest.mark.parametrize("client_fault", CLIENT_FAULTS)
def test_what_a_hostile_client_says_is_legal_nevertheless(client_fault: str, store: Store) -> None:
    live(store, 1, **{client_fault: 1})

    found = reports(store)
    assert found
    assert all(accepted(outgoing) for outgoing in outbox(store))
    assert store.injected_by_kind() == {client_fault: 1}
    (fault,) = store.injected()
    assert fault.first_serial == 1
    assert fault.last_serial == max(m.serial or 0 for r in found for m in r.messages)


def accepted(outgoing: OutboxReport) -> bool:
    delivery = Delivery(1, "", outgoing.body, persistent(), redelivered=False)
    return bool(accept(delivery, received_at=NOW, max_bytes=MAX_REPORT_BYTES).smx)


def test_a_storm_is_a_thousand_times_an_ordinary_share() -> None:
    waves = CLIENT_FAULTS["storm"](a_cycle(a_state()), 0).waves

    assert 900 <= len(waves) <= 1000
    assert sum(map(len, waves)) == pytest.approx(4000, rel=0.01)


def test_a_burst_has_the_times_of_a_week() -> None:
    (wave,) = CLIENT_FAULTS["burst"](a_cycle(), 0).waves

    times = [message.message_time for message in wave]
    assert times == sorted(times)
    assert timedelta(days=6) < times[-1] - times[0] <= timedelta(days=7)
    assert times[-1] == NOW


def test_twelve_thousand_messages_travel_in_one_report(store: Store) -> None:
    live(store, 1, many=1)

    assert max(len(report.messages) for report in reports(store)) >= 12_000


def test_details_have_three_million_letters(store: Store) -> None:
    live(store, 1, details=1)

    letters = [len(m.details or "") for r in reports(store) for m in r.messages]
    assert max(letters) == 3_000_000


def test_every_second_serial_is_left_out(store: Store) -> None:
    live(store, 3, holes=1)

    evens = [2 * n for n in range(1, store.totals().messages + 1)]
    assert [m.serial for m in store.sent()] == evens


def test_a_clock_jumps_a_day_or_a_year() -> None:
    jumps = {CLIENT_FAULTS["clock"](a_cycle(), number).now - NOW for number in range(8)}

    assert jumps == {timedelta(days=days) for days in (1, -1, 365, -365)}


# -- store faults ---------------------------------------------------------------------------------


def test_a_store_that_is_lost_begins_at_one_again_and_the_ledger_knows(store: Store) -> None:
    live(store, 4)
    before = list(store.sent())
    live(store, 1, lost=1)
    live(store, 3)

    (fault,) = store.injected()
    (client,) = [c for c in store.clients() if c.life]
    assert (fault.fault, fault.first_serial) == ("lost", 1)
    assert fault.last_serial == before[-1].serial
    assert client.highest_serial >= before[-1].serial
    after = [m for m in store.sent(client.client_id) if m.life == 1]
    assert [m.serial for m in after] == list(range(1, client.last_serial + 1))
    assert set(before) < set(store.sent())
    # The states from before the loss are gone.
    assert {s.serial for s in store.states(client.client_id)} <= {m.serial for m in after} | {None}


def test_a_store_that_is_rolled_back_knows_what_it_knew(store: Store) -> None:
    live(store, 2)
    ((client, _),) = store.clients_between(0, 1)
    known = list(store.states(client.client_id))
    with store.damage(NOW) as damage:
        damage.back_up(client)
    live(store, 3)
    ((now, _),) = store.clients_between(0, 1)
    with store.damage(NOW) as damage:
        rolled_back = damage.restore(now, "rollback")

    assert list(store.states(client.client_id)) == known
    assert store.clients_between(0, 1).__next__()[0] == rolled_back
    assert (rolled_back.last_serial, rolled_back.life) == (client.last_serial, 1)
    (fault,) = store.injected()
    assert (fault.first_serial, fault.last_serial) == (client.last_serial + 1, now.last_serial)


def test_a_rollback_needs_no_memory_of_what_is_to_come(store: Store) -> None:
    live(store, 6, rollback=1)

    (client,) = [c for c in store.clients() if c.life]
    # The first cycle has no backup to roll back to.
    assert client.life == 6 - 1
    assert store.injected_by_kind() == {"rollback": 5}


def test_within_one_life_a_counter_never_goes_back(store: Store) -> None:
    live(store, 3)
    with pytest.raises(sqlite3.IntegrityError, match="never goes back"):
        store._connection.execute("UPDATE client SET last_serial = 0 WHERE number = 0")


def test_two_machines_share_an_id(open_owned: OpenStore) -> None:
    store = open_owned(clients=2)
    live(store, 3, clients=2, twin=1)

    one, other = store.clients()
    assert one.client_id == other.client_id
    assert one.life != other.life
    assert store.injected_by_kind() == {"twin": 1}
    asked = {store.client(one.client_id, among) for among in range(4)}
    assert len(asked) == 2


def test_a_counter_jumps_ahead(store: Store) -> None:
    live(store, 2, ahead=1)

    first, last = store.injected()
    assert first.first_serial == 1
    assert all(m.serial > first.last_serial for m in store.sent())
    assert last.last_serial > 1000


def test_the_same_seed_brings_the_same_hostility_however_clients_are_grouped(
    tmp_path: Path,
) -> None:
    rates = {kind: 0.1 for kind in HOSTILE if kind not in {"storm", "many", "details", "burst"}}
    plan = Plan(clients=12, seed=5, hostile=rates)

    def lived(name: str, at_a_time: int) -> list[tuple[bytes, int, int]]:
        with Store(tmp_path / name, seed=5, clients=12, now=NOW) as store:
            for cycle in range(6):
                for first in range(0, 12, at_a_time):
                    forward_cycles(store, plan, first, first + at_a_time, NOW + cycle * MINUTE)
            return sorted((m.digest, m.serial, m.life) for m in store.sent())

    assert lived("a", 12) == lived("b", 4)


@pytest.mark.parametrize("hostile", [{"lost": 1.1}, {"lost": -0.1}, {"fire": 0.1}])
def test_rates_that_make_no_sense_are_refused(hostile: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        Plan(hostile=hostile)


def test_every_kind_has_a_meaning() -> None:
    assert all(meaning(kind).endswith(".") for kind in HOSTILE)


def test_what_is_lost_or_refused_is_destroyed() -> None:
    assert {f for f in ("loss", "corrupt", "duplicate", "reorder") if destroys(f)} == {
        "loss",
        "corrupt",
    }
    assert destroys(f"{MALFORMED}.doctype")
    assert not destroys("rollback")
