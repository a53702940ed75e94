"""A cluster that loses the leader of its queues under load; nobody touches the workers.

`make cluster` runs all kinds of faults, with a hostile fleet, and measures them.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

import pytest

from runtime.broker import (
    Administration,
    ConfirmingPublisher,
    Message,
    Retry,
    Session,
    persistent,
)
from schemas.errors import BrokerUnavailable, NotTaken
from schemas.topology import Queue
from tests.chaos.cluster_faults import lose_leader, strike_of
from tests.chaos.cluster_site import ClusterSite
from tests.chaos.trial import attempt
from tests.support.waiting import wait_until

SEED = 1
QUEUE = Queue("statesys.test", "nothing", {"x-queue-type": "quorum"})
#: Seconds for an election, on a busy machine.
PATIENCE = 60.0

# Seconds, for starts of real servers and for proofs, on a busy machine.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def site() -> Iterator[ClusterSite]:
    # Only its owner may enter pytest's directory; PostgreSQL's user has to reach its data.
    directory = Path(tempfile.mkdtemp(prefix="statesys-cluster-"))
    directory.chmod(0o711)
    try:
        with ClusterSite(directory, seed=SEED) as found:
            yield found
    finally:
        shutil.rmtree(directory)


def _takes(url: str) -> bool:
    """Whether a new connection can publish."""
    try:
        with Administration(url, name="test") as admin:
            admin.publish(routing_key=QUEUE.name, body=b"heard", properties=persistent())
    except (BrokerUnavailable, NotTaken):
        return False
    return True


def test_the_site_goes_on_when_the_leader_is_lost(site: ClusterSite) -> None:
    outcome = attempt(site, "leader lost", strike_of(lose_leader), Random(SEED))

    assert not outcome.problems
    assert outcome.messages > outcome.after


def test_a_channel_that_began_without_a_leader_is_heard_before_the_dead_node_is_back(
    site: ClusterSite,
) -> None:
    site.servers.up_again()
    site.servers.await_whole()
    # The leader is on the node of the connection that declares a queue.
    with Administration(site.servers.url_of(1), name="test") as admin:
        admin.declare([QUEUE])
    with closing(Session(site.servers.url_of(3), name="test")) as session:
        publisher = ConfirmingPublisher(session, retry=Retry(0.1, 1))
        with site.servers.frozen(2):
            # One of three members cannot elect a leader.
            site.servers.kill(site.servers.node(1))
            publisher.publish(Message(QUEUE.name, b"heard", persistent(), None))
            try:
                refused = next(publisher.await_outcomes(patience=PATIENCE))
            except BrokerUnavailable:
                # A node of RabbitMQ 4 without a majority pauses sooner, and ends its connections.
                refused = None
        if refused is None:
            wait_until(partial(_takes, site.servers.url_of(3)), timeout=PATIENCE, what="a confirm")
            return
        *_, taken = publisher.await_outcomes(patience=PATIENCE)

    assert refused.problem == "nack: the broker did not take it"
    assert taken.problem is None
