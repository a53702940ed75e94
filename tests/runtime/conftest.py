"""A broker with all queues."""

from collections.abc import Iterator

import pytest

from runtime.broker import Administration
from schemas.topology import QUEUES


@pytest.fixture
def desk(amqp_url: str) -> Iterator[Administration]:
    """Errands, with all queues declared."""
    with Administration(amqp_url, name="test desk") as found:
        found.declare(QUEUES)
        yield found
