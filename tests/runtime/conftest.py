"""A broker with all queues."""

from collections.abc import Iterator

import pytest

from runtime.broker import Administration, Session
from schemas.topology import DEAD, QUEUES


@pytest.fixture
def desk(amqp_url: str) -> Iterator[Administration]:
    """Errands, with all queues declared."""
    with Administration(amqp_url, name="test desk") as found:
        found.declare(QUEUES)
        yield found


@pytest.fixture
def session(amqp_url: str, desk: Administration) -> Iterator[Session]:
    """A session beside it."""
    assert desk.depth(DEAD)
    found = Session(amqp_url, name="test session")
    yield found
    found.close()
