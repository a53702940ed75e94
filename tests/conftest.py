"""Real servers for all tests, and a separate database and virtual host for each."""

import fcntl
import os
import signal
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings

from runtime import devserver
from runtime.devserver import Endpoints
from tests.support import own
from tests.support.management import Management

# No deadlines in Hypothesis: the machine may be busy with other work.
settings.register_profile("statesys", deadline=None)
settings.load_profile("statesys")

# Separate from .statesys, so that tests never touch a developer's data.
TEST_HOME = Path(__file__).parent.parent / ".statesys-test"


def pytest_configure() -> None:
    """Stop ignoring SIGINT and SIGHUP, since child processes inherit ignored signals.

    They are ignored when tests run in the background of a shell or under nohup.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the name of its directory."""
    for item in items:
        item.add_marker(item.path.relative_to(Path(__file__).parent).parts[0])


#: Tests of this directory share one site, which takes long to set up.
_ONE_UNIT = "tests/acceptance/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With --dist loadfile, run each file, and all files that share a site, in one process."""
    if config.getoption("dist") != "loadfile":
        return None
    scheduler = import_module("xdist.scheduler").LoadFileScheduling(config, log)
    file_of = scheduler._split_scope

    def unit_of(nodeid: str) -> str:
        return _ONE_UNIT if nodeid.startswith(_ONE_UNIT) else str(file_of(nodeid))

    scheduler._split_scope = unit_of
    return scheduler


@pytest.fixture(scope="session")
def endpoints() -> Iterator[Endpoints]:
    """Private servers under STATESYS_TEST_HOME, stopped at the end unless STATESYS_TEST_KEEP=1.

    Several test runs share them: each holds a shared lock, and the last one stops them.
    """
    home = Path(os.environ.get("STATESYS_TEST_HOME", TEST_HOME))
    home.mkdir(parents=True, exist_ok=True)
    with (home / "runs.lock").open("w", encoding="utf-8") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield devserver.up(home)
        finally:
            if os.environ.get("STATESYS_TEST_KEEP") != "1" and _last(users.fileno()):
                devserver.down(home)


@pytest.fixture(scope="session")
def database_template(endpoints: Endpoints) -> Iterator[str]:
    """Name of a migrated, empty database; copying it takes a tenth of the time of migrating."""
    from loader.migrations import migrate

    with own.database(endpoints, template="template1") as url:
        migrate(url)
        yield own.name_of(url)


@pytest.fixture
def database_url(endpoints: Endpoints, database_template: str) -> Iterator[str]:
    """A migrated database that no other test sees."""
    with own.database(endpoints, template=database_template) as url:
        yield url


@pytest.fixture
def second_database_url(endpoints: Endpoints, database_template: str) -> Iterator[str]:
    """A second such database for the same test."""
    with own.database(endpoints, template=database_template) as url:
        yield url


@pytest.fixture
def empty_database_url(endpoints: Endpoints) -> Iterator[str]:
    """A database without the schema."""
    with own.database(endpoints, template="template1") as url:
        yield url


@pytest.fixture
def management(endpoints: Endpoints) -> Management:
    """The broker's management API."""
    return Management(endpoints.management_url)


@pytest.fixture
def amqp_url(endpoints: Endpoints) -> Iterator[str]:
    """A virtual host that no other test sees; empty, without any queue."""
    with own.virtual_host(endpoints) as url:
        yield url


def _last(lock: int) -> bool:
    """Take the lock alone until the file is closed; False when another run holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
