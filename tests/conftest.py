"""Real servers for all tests, and a separate database and virtual host for each."""

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import psycopg
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

#: A file system in memory, and the free bytes there from which the servers use it.
_MEMORY, _ROOM = Path("/dev/shm"), 8 * 1024**3


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
def server_home() -> Path:
    """The directory of the private servers: STATESYS_TEST_HOME, or one in memory."""
    named = os.environ.get("STATESYS_TEST_HOME")
    home = Path(named) if named else _linked_to_memory(TEST_HOME)
    home.mkdir(parents=True, exist_ok=True)
    return home


@pytest.fixture(scope="session")
def endpoints(server_home: Path) -> Iterator[Endpoints]:
    """Private servers, deleted at the end unless STATESYS_TEST_KEEP=1.

    Several test runs share them: each holds a shared lock, and the last one deletes them.
    """
    home = server_home
    with (home / "runs.lock").open("w", encoding="utf-8") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            found = devserver.up(home)
            _without_fsync(found.database_url)
            yield found
        finally:
            if os.environ.get("STATESYS_TEST_KEEP") != "1" and _last(users.fileno()):
                devserver.down(home, purge=True)


@pytest.fixture(scope="session")
def database_template(endpoints: Endpoints) -> Iterator[Callable[[], str]]:
    """Names a migrated, empty database; copying it takes a tenth of the time of migrating.

    A run that goes on past midnight UTC gets a new one, with the partitions of the new day.
    """
    from loader.migrations import migrate

    with ExitStack() as made:

        @cache
        def of_day(_: date) -> str:
            url = made.enter_context(own.database(endpoints, template="template1"))
            migrate(url)
            return own.name_of(url)

        yield lambda: of_day(datetime.now(UTC).date())


@pytest.fixture
def database_url(endpoints: Endpoints, database_template: Callable[[], str]) -> Iterator[str]:
    """A migrated database that no other test sees."""
    with own.database(endpoints, template=database_template()) as url:
        yield url


@pytest.fixture
def second_database_url(
    endpoints: Endpoints, database_template: Callable[[], str]
) -> Iterator[str]:
    """A second such database for the same test."""
    with own.database(endpoints, template=database_template()) as url:
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


def _linked_to_memory(home: Path) -> Path:
    """Make the directory a link into memory, where there is room; return where it is.

    Each test makes a database of 400 files and deletes it, which is most of a disk's work here.
    """
    there = _MEMORY / f"statesys-test-{sha256(str(home).encode()).hexdigest()[:12]}"
    if home.is_dir() and not home.is_symlink():
        return home
    if not there.is_dir():
        if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ROOM:
            home.unlink(missing_ok=True)
            return home
        there.mkdir(exist_ok=True)
    with suppress(FileExistsError):
        home.symlink_to(there)
    return there


def _without_fsync(database_url: str) -> None:
    """Let PostgreSQL leave its files in the kernel's cache: no test cuts this one's power.

    Each test drops its database, and on a disk the checkpoint of a drop takes about a second.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
        connection.execute("SELECT pg_reload_conf()")


def _last(lock: int) -> bool:
    """Take the lock alone until the file is closed; False when another run holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
