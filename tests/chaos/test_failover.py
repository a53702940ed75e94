"""A failover of the database under load; `make failover` is the long form."""

from random import Random

import pytest

from tests.chaos.failover import fail_over, failing_site

SEED = 1

# Seconds, for starts of real servers and for proofs, on a busy machine.
pytestmark = pytest.mark.timeout(240)


def test_a_failover_loses_nothing_or_what_it_loses_is_found() -> None:
    rng = Random(SEED)
    with failing_site(seed=SEED, fsync=False) as (site, servers):
        found = fail_over(site, servers, rng, synchronous=False)
        assert not found.problems
        assert found.lost

        servers.restore()
        found = fail_over(site, servers, rng, synchronous=True)
        assert not found.problems
        assert found.messages > found.after
