"""A broker with all queues."""

from collections.abc import Iterator

import pytest

from runtime.broker import Administration, Session
from schemas.topology import DEAD, QUEUES


@pytest.fixture
def admin(amqp_url: str) -> Iterator[Administration]:
    """A broker administration, with all queues declared."""
    with Administration(amqp_url, name="test desk") as found:
        found.declare(QUEUES)
        yield found


@pytest.fixture
def session(amqp_url: str, admin: Administration) -> Iterator[Session]:
    """A session on the same broker."""
    assert admin.depth(DEAD)
    found = Session(amqp_url, name="test session")
    yield found
    found.close()
