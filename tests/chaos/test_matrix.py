"""A short kill matrix: some faults on one site, with a proof after each.

`make soak` runs all kinds, for as long as asked, and with outages of a minute.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.chaos.disk import why_none
from tests.chaos.faults import DISK, FAULTS, LONG, QUICK, Strike, postgres_away, rabbitmq_away
from tests.chaos.schedule import Schedule
from tests.chaos.site import Site
from tests.chaos.trial import attempt

#: Of the fleet and the moments; the name of the fault is added, so that the moments differ.
SEED = 1
SHORT = (
    "relay: SIGKILL",
    "loader: SIGKILL",
    "loader: SIGSTOP, SIGCONT",
    "producers: SIGKILL",
    "connection: torn within a frame",
    "connection: stalled",
    "PostgreSQL: SIGKILL",
    "PostgreSQL: a missing grant",
    "PostgreSQL: read-only",
    "RabbitMQ: SIGKILL",
    "RabbitMQ: memory alarm",
    "RabbitMQ: disk alarm",
)

# Seconds, for starts of real servers and for proofs, on a busy machine.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    # Only its owner may enter pytest's directory; PostgreSQL's user has to reach its data.
    directory = Path(tempfile.mkdtemp(prefix="statesys-matrix-"))
    directory.chmod(0o711)
    try:
        with Site(directory, seed=SEED, small_disks=not why_none(directory)) as found:
            yield found
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_when_it_strikes(name: str, site: Site) -> None:
    outcome = attempt(site, name, FAULTS[name], Random(f"{SEED} {name}"))

    assert not outcome.problems
    assert outcome.messages > outcome.after


@pytest.mark.parametrize(
    "away", [postgres_away(0), rabbitmq_away(0)], ids=["PostgreSQL", "RabbitMQ"]
)
def test_workers_tell_of_an_outage_and_need_no_restart(away: Strike, site: Site) -> None:
    outcome = attempt(site, "away", away, Random(SEED))

    assert not outcome.problems


@pytest.mark.parametrize("name", DISK)
def test_a_full_disk_costs_no_message(name: str, site: Site, tmp_path: Path) -> None:
    if not site.disks:
        pytest.skip(why_none(tmp_path))

    outcome = attempt(site, name, DISK[name], Random(SEED))

    assert not outcome.problems


def test_a_hostile_fleet_loses_nothing_either(tmp_path: Path) -> None:
    name = "all workers: SIGKILL at once"
    with Site(tmp_path, seed=SEED, hostile=True) as site:
        outcome = attempt(site, name, FAULTS[name], Random(SEED))

    assert not outcome.problems
    assert outcome.messages > outcome.after


def test_every_kind_comes_before_one_comes_again() -> None:
    schedule = Schedule(list(FAULTS), Random(SEED))
    two_rounds = [schedule.next(small_disks=True) for _ in range(2 * len(FAULTS))]

    first, second = two_rounds[: len(FAULTS)], two_rounds[len(FAULTS) :]
    assert set(first) == set(second) == FAULTS.keys()
    assert set(first[: len(LONG) + len(DISK)]) == {*LONG, *DISK}


def test_a_full_disk_waits_for_the_site_that_has_small_ones() -> None:
    schedule = Schedule([*DISK, *QUICK], Random(SEED))

    for _ in range(3 * len(QUICK)):
        assert schedule.next(small_disks=False) not in DISK
    assert schedule.next(small_disks=True) in DISK
    assert Schedule(list(DISK), Random(SEED)).next(small_disks=False) is None


def test_every_part_of_a_site_has_a_fault() -> None:
    parts = {name.partition(":")[0] for name in FAULTS}

    assert parts >= {"relay", "loader", "producers", "PostgreSQL", "RabbitMQ", "connection"}
