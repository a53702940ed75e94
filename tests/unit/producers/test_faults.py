"""Injected faults between client and broker."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.client import Client, forward
from producers.faults import FAULTS, Publish, chosen, damage, happen
from producers.plan import Plan
from schemas.errors import Refused, SettingsError
from schemas.refusal import Reason
from schemas.report import StateMessage
from schemas.report_reader import parse_report
from tests.support.fleet_strategies import NOW, a_client, a_state, clients, messages


@given(
    client=clients,
    unsent=st.lists(messages, min_size=1, max_size=4),
    number=st.integers(0, 2**64 - 1),
)
def test_damage_always_breaks_well_formedness(
    client: Client, unsent: list[StateMessage], number: int
) -> None:
    for report in forward(client, unsent, NOW):
        # Each kind of damage, at the position that `number` selects.
        for kind in range(4):
            with pytest.raises(Refused) as refused:
                parse_report(damage(report.body, number * 4 + kind))

            assert refused.value.reason is Reason.NOT_WELL_FORMED


def test_damage_at_any_single_place_breaks_well_formedness() -> None:
    # Texts that might hide the damage: markup in CDATA, characters with two UTF-16 code units.
    state = a_state("<kb>")._replace(params=("🙂",), details='</ReportBody> MessageTime="')
    (report,) = forward(a_client(), [state], NOW)
    for place in range(len(report.body)):
        for kind in range(4):
            with pytest.raises(Refused, match="not_well_formed"):
                parse_report(damage(report.body, place * 4 + kind))


def test_a_lost_report_is_never_published() -> None:
    assert happen("loss", b"report", 1, 0, 1) == ()


def test_a_duplicate_is_published_twice() -> None:
    assert happen("duplicate", b"report", 1, 0, 1) == (Publish(b"report"), Publish(b"report"))


def test_a_reordered_report_lets_one_to_three_newer_ones_go_first() -> None:
    held = {happen("reorder", b"report", 1, 0, serial)[0].held for serial in range(100)}

    assert held == {1, 2, 3}


def test_faults_come_at_their_rates_and_at_most_one_to_a_report() -> None:
    rates = {"loss": 0.1, "duplicate": 0.2, "corrupt": 0.05}

    met = Counter(
        chosen(rates, 1, client, serial) for client in range(100) for serial in range(200)
    )

    assert met["loss"] == pytest.approx(2000, rel=0.1)
    assert met["duplicate"] == pytest.approx(4000, rel=0.1)
    assert met["corrupt"] == pytest.approx(1000, rel=0.15)
    assert met[None] == 20_000 - met["loss"] - met["duplicate"] - met["corrupt"]


def test_the_same_seed_brings_the_same_faults() -> None:
    rates = dict.fromkeys(FAULTS, 0.2)

    def met(seed: int) -> list[str | None]:
        return [chosen(rates, seed, client, 1) for client in range(100)]

    assert met(1) == met(1)
    assert met(1) != met(2)


def test_a_rate_of_one_spares_no_report() -> None:
    assert all(chosen({"loss": 1.0}, 1, client, 1) == "loss" for client in range(1000))


@pytest.mark.parametrize(
    "faults", [{"loss": 1.1}, {"loss": -0.1}, {"loss": 0.6, "corrupt": 0.6}, {"fire": 0.1}]
)
def test_rates_that_make_no_sense_are_refused(faults: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        Plan(faults=faults)
