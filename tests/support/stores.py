"""Stores of fleets for tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from producers.store import Store
from tests.support.fleet_strategies import NOW

OpenStore = Callable[..., Store]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Directory of the test's fleet, not created yet."""
    return tmp_path / "fleet"


@pytest.fixture
def open_owned(directory: Path) -> Iterator[OpenStore]:
    """Opens the test's store as its owner; the fixture closes it at the end of the test."""
    with ExitStack() as stack:

        def opened(*, clients: int | None = 3, seed: int | None = None) -> Store:
            return stack.enter_context(Store(directory, seed=seed, clients=clients, now=NOW))

        yield opened


@pytest.fixture
def store(open_owned: OpenStore) -> Store:
    """A store of three clients."""
    return open_owned()
