"""Real servers for all tests, a database and a virtual host of its own for each."""

import fcntl
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from runtime import services
from runtime.services import Endpoints
from tests.management import Management

# No test looks at a clock, Hypothesis included: this machine may be busy with something else.
settings.register_profile("statesys", deadline=None)
settings.load_profile("statesys")

# Apart from .statesys: tests never touch a developer's data.
TEST_HOME = Path(__file__).parent.parent / ".statesys-test"


def pytest_configure() -> None:
    """Let signals reach what the tests start: what is ignored here would be ignored there too.

    Whoever runs the tests in the background of a shell or under nohup ignores them.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


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
            yield services.up(home)
        finally:
            if os.environ.get("STATESYS_TEST_KEEP") != "1" and _last(users.fileno()):
                services.down(home)


@pytest.fixture(scope="session")
def database_template(endpoints: Endpoints) -> Iterator[str]:
    """Name of a migrated, empty database; migrating once and cloning takes a tenth of the time."""
    from loader.migrations import migrate

    name = f"template_{uuid.uuid4().hex}"
    with _administration(endpoints) as connection:
        _create(connection, name, template="template1")
        migrate(_database(endpoints, name))
        yield name
        _drop(connection, name)


@pytest.fixture
def database_url(endpoints: Endpoints, database_template: str) -> Iterator[str]:
    """A migrated database that no other test sees."""
    with _cloned(endpoints, database_template) as url:
        yield url


@pytest.fixture
def second_database_url(endpoints: Endpoints, database_template: str) -> Iterator[str]:
    """Another one, for the same test."""
    with _cloned(endpoints, database_template) as url:
        yield url


@pytest.fixture
def empty_database_url(endpoints: Endpoints) -> Iterator[str]:
    """A database that nothing was migrated in."""
    with _cloned(endpoints, "template1") as url:
        yield url


@pytest.fixture
def management(endpoints: Endpoints) -> Management:
    """The broker's management API."""
    return Management(endpoints.management_url)


@pytest.fixture
def amqp_url(endpoints: Endpoints, management: Management) -> Iterator[str]:
    """A virtual host that no other test sees; empty, without any queue."""
    name = f"test-{uuid.uuid4().hex}"
    management.create_vhost(name)
    yield urlsplit(endpoints.amqp_url)._replace(path=f"/{name}").geturl()
    management.delete_vhost(name)


def _last(lock: int) -> bool:
    """Whether no other run holds the lock; if so it is ours alone until the file is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _database(endpoints: Endpoints, name: str) -> str:
    return urlsplit(endpoints.database_url)._replace(path=f"/{name}").geturl()


def _administration(endpoints: Endpoints) -> psycopg.Connection:
    """A connection that creates and drops databases, which no transaction can."""
    return psycopg.connect(_database(endpoints, "postgres"), autocommit=True)


@contextmanager
def _cloned(endpoints: Endpoints, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with _administration(endpoints) as connection:
        _create(connection, name, template=template)
        yield _database(endpoints, name)
        _drop(connection, name)


def _create(connection: psycopg.Connection, name: str, *, template: str) -> None:
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
    )


def _drop(connection: psycopg.Connection, name: str) -> None:
    # A worker that a failed test left connected must not keep the database.
    connection.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )
