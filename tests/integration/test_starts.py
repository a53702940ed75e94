"""Lines of the table in docs/operations.md that no other test covers, with the real program."""

import resource
import threading
from urllib.parse import urlsplit

import psycopg
import pytest

from schemas.errors import StatesysError
from tests.support.brokers import vhost
from tests.support.management import Management
from tests.support.nodes import standby
from tests.support.paths import ROOT
from tests.support.processes import batch, fill, make_loader, ready
from tests.support.promises import keep, promise, promises
from tests.support.relays import World, good
from tests.support.round import command
from tests.support.world import CLIENT, message, report

NOBODY = "127.0.0.1:1"
#: Commands of readers and operators.
LOOKING = (
    ("states", str(CLIENT)),
    ("trace", str(CLIENT)),
    ("gaps",),
    ("resync", "check", "--dry-run"),
    ("resync", "request", str(CLIENT)),
    ("client", "forget", str(CLIENT), "--yes"),
    ("client", "erase", str(CLIENT), "--yes"),
    ("top", "clients"),
    ("top", "topics"),
    ("audit",),
    ("messages",),
    ("resync", "list"),
)
TESTS = ROOT / "tests"


def test_every_line_of_the_table_has_a_test() -> None:
    texts = [path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")]
    lines = promises()
    assert lines
    assert [one for one in lines if not any(f'"{one.when}"' in text for text in texts)] == []
    assert all(one.words for one in lines)


@pytest.mark.parametrize("name", ["loader migrate", "loader run"])
def test_a_database_that_is_away_ends_a_start(name: str) -> None:
    told = promise(name, "nobody answers, or the server does not want us")
    keep(told, f"amqp://x:y@{NOBODY}/", f"postgresql://x:y@{NOBODY}/x")


def test_a_broker_that_is_away_ends_a_start() -> None:
    told = promise("relay run", "the broker does not answer")
    keep(told, f"amqp://x:y@{NOBODY}/", f"postgresql://x:y@{NOBODY}/x")


@pytest.mark.parametrize(
    ("change", "when"),
    [
        ("DROP SCHEMA statesys CASCADE", "there are no tables, or an older statesys made them"),
        (
            "DELETE FROM statesys.migration WHERE name > '0004'",
            "there are no tables, or an older statesys made them",
        ),
        (
            "INSERT INTO statesys.migration (name) VALUES ('9999_later.sql')",
            "a newer statesys made the tables",
        ),
    ],
)
def test_tables_of_another_version_are_refused_by_all_and_nothing_is_taken(
    amqp_url: str, database_url: str, change: str, when: str
) -> None:
    fill(amqp_url, [batch(report(message(1)))])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(change.encode())
    told = promise("loader run", when)
    keep(told, amqp_url, database_url)
    assert ready(amqp_url) == 1
    for arguments in LOOKING:
        with pytest.raises(StatesysError) as error:
            command(amqp_url, database_url, *arguments)
        assert told.holds_in(str(error.value)), arguments
        assert error.value.exit_code == told.code


def test_a_standby_and_a_read_only_server_are_told_as_what_they_are(
    amqp_url: str, database_url: str, empty_database_url: str
) -> None:
    run = promise("loader run", "the server is a standby or read-only")
    made = "something is to be made, and the server is a standby or read-only"
    with standby(database_url) as server:
        url, empty = server.url(database_url), server.url(empty_database_url)
        for read_only in (False, True):
            if read_only:
                server.promote_read_only()
            keep(run, amqp_url, url)
            keep(promise("loader migrate", made), amqp_url, empty)
            # Commands that only read, and a migration with nothing to do, write nothing.
            for arguments in (("status",), ("gaps",), ("loader", "migrate")):
                command(amqp_url, url, *arguments)


@pytest.fixture
def world(amqp_url: str) -> World:
    """All queues, empty."""
    return World(amqp_url)


@pytest.fixture
def limited_url(amqp_url: str, management: Management) -> str:
    """The virtual host, for a user without any permission."""
    parts, name = urlsplit(amqp_url), vhost(amqp_url)
    management.call("PUT", "users", name, body={"password": "p", "tags": ""})
    return parts._replace(netloc=f"{name}:p@{parts.hostname}:{parts.port}").geturl()


def allow(management: Management, amqp_url: str, *, write: str, read: str) -> None:
    rights = {"configure": "", "write": write, "read": read}
    management.call("PUT", "permissions", vhost(amqp_url), vhost(amqp_url), body=rights)


def test_a_worker_that_may_not_pass_on_takes_nothing(
    world: World, limited_url: str, database_url: str, management: Management
) -> None:
    world.publish(good(1))
    allow(management, world.amqp_url, write="", read=".*")
    for name in ("relay run", "loader run"):
        keep(promise(name, "its user may not publish"), limited_url, database_url)
    (report,) = world.take_all("mp_relayendpoint")
    assert not report.redelivered


def test_a_relay_that_may_not_read_says_so(
    world: World, limited_url: str, database_url: str, management: Management
) -> None:
    allow(management, world.amqp_url, write=".*", read="")
    keep(promise("relay run", "its user may not read the reports"), limited_url, database_url)


def test_a_loader_that_may_open_too_few_files_says_so(amqp_url: str, database_url: str) -> None:
    told = promise("loader run", "its threads need more open files than it may have")
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    loader = make_loader(amqp_url, database_url, threading.Event(), loader_threads=4)
    resource.setrlimit(resource.RLIMIT_NOFILE, (63, allowed[1]))
    try:
        with pytest.raises(StatesysError) as error:
            loader.run()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
    assert told.holds_in(str(error.value))
    assert error.value.exit_code == told.code


@pytest.mark.parametrize("name", ["relay run", "loader run"])
def test_a_queue_that_is_something_else_ends_a_start(
    amqp_url: str, database_url: str, management: Management, name: str
) -> None:
    body = {"durable": False}
    management.call("PUT", "queues", vhost(amqp_url), "statesys.incoming", body=body)
    keep(promise(name, "a queue is not as it must be"), amqp_url, database_url)
