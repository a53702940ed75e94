"""Queues for the relay's tests."""

import pytest

from tests.support.relays import World


@pytest.fixture
def world(amqp_url: str) -> World:
    """All queues, empty, on a virtual host of the test's own."""
    return World(amqp_url)
