"""The scenarios and the messages that clients record."""

import pytest

from producers.client import PRIORITIES
from producers.scenarios import away, recorded
from producers.scenarios.assignments import ASSIGNMENT
from producers.scenarios.baselines import BASELINE
from producers.scenarios.deployment import DEPLOYMENT
from producers.scenarios.machine import CHANCES, Scenario, Step
from producers.scenarios.scans import SCAN
from producers.scenarios.stream import STEPS
from producers.scenarios.updates import UPDATE
from schemas.report import StateMessage
from schemas.topics import catalogue
from tests.support.fleet_strategies import NOW

SCENARIOS = (UPDATE, ASSIGNMENT, BASELINE, SCAN, DEPLOYMENT)


def life(client: int, *, cycles: int = 40, seed: int = 1, mean: float = 4) -> list[StateMessage]:
    return [m for cycle in range(cycles) for m in recorded(seed, client, cycle, mean, NOW)]


def steps(scenario: Scenario) -> set[Step]:
    following = {step for branches in scenario.follows.values() for _, step in branches}
    return {scenario.start, *scenario.follows, *following}


def test_the_same_seed_lives_the_same_life() -> None:
    assert life(17) == life(17)
    assert life(17) != life(17, seed=2)
    assert life(17) != life(18)


@pytest.mark.parametrize("mean", [0.5, 1, 4, 25])
def test_a_cycle_has_the_mean_number_of_messages_in_the_long_run(mean: float) -> None:
    counts = [len(recorded(1, n, c, mean, NOW)) for n in range(20) for c in range(100)]

    assert sum(counts) / len(counts) == pytest.approx(mean, rel=0.05)
    assert max(counts) <= 2 * mean + 1


def test_nothing_to_say_is_a_life_too() -> None:
    assert life(1, mean=0) == []


def test_all_topics_and_states_are_in_the_catalogue() -> None:
    known = {(row.topic_type, row.state_id) for row in catalogue()}

    assert {tuple(step) for scenario in SCENARIOS for step in steps(scenario)} <= known


def test_priorities_are_of_states_that_somebody_tells() -> None:
    told = {tuple(step) for scenario in SCENARIOS for step in steps(scenario)}

    assert PRIORITIES.keys() <= told


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_chances_of_every_step_add_up(scenario: Scenario) -> None:
    assert all(sum(share for share, _ in b) == CHANCES for b in scenario.follows.values())


def test_an_update_is_found_before_it_is_downloaded() -> None:
    updates: dict[str, list[StateMessage]] = {}
    for message in life(3, cycles=10):
        if message.topic_type in (402, 500):
            updates.setdefault(message.topic_id, []).append(message)

    assert updates
    assert all((m[0].topic_type, m[0].state_id) == (500, 2) for m in updates.values())


def test_life_begins_with_the_deployment_of_the_client() -> None:
    begin = life(5)[0]

    assert (begin.topic_type, begin.state_id) == (800, 100)


def test_users_details_and_empty_parameters_occur() -> None:
    told = [message for client in range(30) for message in life(client)]

    assert any(m.user_sid and m.user_name for m in told)
    assert any(m.details for m in told)
    assert any("" in m.params for m in told)
    assert {m.topic_type for m in told} == {300, 301, 302, 401, 402, 500, 501, 800}


def test_topics_of_a_client_do_not_grow_without_bounds() -> None:
    topics = {m.topic for m in life(3, cycles=1500)}

    assert len(topics) < 1500


def test_message_times_follow_each_other_up_to_now() -> None:
    times = [m.message_time for m in recorded(1, 9, 3, 4, NOW)]

    assert times == sorted(times)
    assert times[-1] == NOW


def test_a_story_is_long_enough_for_an_update_to_be_installed() -> None:
    installed = [m for m in life(1, cycles=100) if (m.topic_type, m.state_id) == (500, 3)]

    assert STEPS >= 7
    assert installed


def test_some_clients_are_away_in_some_cycles() -> None:
    gone = sum(away(1, client, cycle) for client in range(100) for cycle in range(100))

    assert gone == pytest.approx(10_000 / 16, rel=0.2)
