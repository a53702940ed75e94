"""A short kill matrix: one site lives through ten faults, and proves itself after each.

`make soak` runs all kinds, for as long as asked.
"""

from collections.abc import Iterator
from random import Random

import pytest

from tests.matrix.faults import FAULTS
from tests.matrix.site import Site
from tests.matrix.trial import attempt

#: What strikes, and that it does not happen at the same moments as in another kind.
SEED = 1
SHORT = (
    "relay: SIGKILL",
    "loader: SIGKILL",
    "loader: SIGSTOP, SIGCONT",
    "producers: SIGKILL",
    "connection: torn within a frame",
    "connection: stalled",
    "PostgreSQL: SIGKILL",
    "RabbitMQ: SIGKILL",
    "RabbitMQ: memory alarm",
    "RabbitMQ: disk alarm",
)

# Seconds. Starts of real servers and proofs, on a busy machine.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("matrix"), seed=SEED) as found:
        yield found


@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_when_it_strikes(name: str, site: Site) -> None:
    outcome = attempt(site, name, FAULTS[name], Random(f"{SEED} {name}"))

    assert not outcome.problems
    assert outcome.messages > outcome.after


def test_every_part_of_a_site_has_a_fault() -> None:
    parts = {name.partition(":")[0] for name in FAULTS}

    assert parts >= {"relay", "loader", "producers", "PostgreSQL", "RabbitMQ", "connection"}
