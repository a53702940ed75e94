"""A commit that the standby does not have is not a commit."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loader.migrations import migrate
from loader.store.chunks import ChunkStore, Loaded
from runtime.database import Session, own_session, shared_session
from schemas.errors import DatabaseUnavailable
from tests.support.nodes import Pair, pair
from tests.support.processes import PATIENCE, Program, batch, fill, ready
from tests.support.waiting import wait_until
from tests.support.world import chunk_store, load, message, open_tables, report

_WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE '{}%'"
)
_INSERT = "INSERT INTO duty VALUES (gen_random_uuid()::text, now())"


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with pair() as found:
        migrate(found.url)
        # A site's own choice, which would hide the warning.
        found.primary.execute(
            "ALTER DATABASE statesys SET client_min_messages = error", name="statesys"
        )
        found.make_synchronous()
        yield found


def waiting(servers: Pair, name: str, *, but: int = 0) -> int:
    """A session whose commit waits for the standby, another one than `but`."""
    query = _WAITING.format(name) + f" AND pid <> {but}"
    found = wait_until(
        lambda: servers.primary.execute(query), timeout=PATIENCE, what=f"a commit of {name}"
    )
    return int(found[0][0])


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_chunk_whose_wait_is_cancelled_is_loaded_again(
    servers: Pair, amqp_url: str, tmp_path: Path, how: str
) -> None:
    with open_tables(servers.url) as tables:
        tables.truncate()
    fill(amqp_url, [batch(report(message(1)))])
    arguments = ("loader", "run", "--threads", "1")
    urls = {"amqp_url": amqp_url, "database_url": servers.url}
    with Program(tmp_path / "log", *arguments, **urls) as loader:
        loader.await_event("loader.chunk_loaded")
        with servers.standby.receiver_stopped():
            fill(amqp_url, [batch(report(message(2)))])
            first = waiting(servers, "statesys loader-1")
            servers.primary.execute(f"SELECT {how}({first})")
            cancelled = f"[{first}] "
            wait_until(
                lambda: any(
                    cancelled in line and "canceling" in line
                    for line in servers.primary.log.splitlines()
                ),
                timeout=PATIENCE,
                what="the warning",
            )
            # A session that is ended removes its temporary tables, and that commit waits: its
            # client learns nothing before.
            if how == "pg_cancel_backend":
                # The row is there for all to see, so the next try loads a duplicate. It waits too.
                waiting(servers, "statesys loader-1", but=first)
            assert len(loader.events("loader.chunk_loaded")) == 1
        loaded = loader.await_event("loader.chunk_loaded", holding='"duplicates": 1')
        assert loaded["new"] == 0
        loader.send(signal.SIGTERM)
        assert loader.end() == 0
    assert ready(amqp_url) == 0
    with open_tables(servers.standby.url(servers.plain_url)) as tables:
        count = "SELECT count(*) FROM state_message"
        wait_until(lambda: tables.rows(count) == [(2,)], what="the rows on the standby")


def own_transaction(url: str) -> Session:
    session = own_session(url, "patient")
    with session.transaction() as connection:
        connection.execute(_INSERT)
    return session


def autocommit(url: str) -> Session:
    session = own_session(url, "patient", autocommit=True)
    with session.translated():
        session.connection.execute(_INSERT)
    return session


def shared_transaction(url: str) -> Session:
    session = shared_session(url, "patient", read_only=False)
    with session.transaction() as connection:
        connection.execute(_INSERT)
    return session


def executed(url: str) -> Session:
    session = shared_session(url, "patient", read_only=False)
    session.execute(_INSERT)
    session.commit()
    return session


@pytest.mark.parametrize("commit", [own_transaction, autocommit, shared_transaction, executed])
def test_every_commit_whose_wait_is_cancelled_is_an_error(
    servers: Pair, commit: Callable[[str], Session]
) -> None:
    found: list[object] = []

    def run() -> None:
        try:
            found.append(commit(servers.url))
        except DatabaseUnavailable as error:
            found.append(str(error))

    with servers.standby.receiver_stopped():
        thread = threading.Thread(target=run)
        thread.start()
        servers.primary.execute(f"SELECT pg_cancel_backend({waiting(servers, 'patient')})")
        thread.join(PATIENCE)

    (error,) = found
    assert "the wait for its standby was cancelled" in str(error)


def test_a_chunk_of_duplicates_waits_for_what_loaded_them_first(servers: Pair) -> None:
    """It changes no row, but its loader would acknowledge what only one server has."""
    first, second = (chunk_store(servers.url, name=name) for name in ("first", "second"))
    one, found = report(message(7)), list[object]()

    def load_into(store: ChunkStore) -> None:
        try:
            found.append(load(store, one))
        except DatabaseUnavailable as error:
            found.append(error)

    with servers.standby.receiver_stopped():
        threading.Thread(target=load_into, args=[first]).start()
        servers.primary.execute(f"SELECT pg_cancel_backend({waiting(servers, 'first')})")
        wait_until(lambda: found, timeout=PATIENCE, what="the error")
        threading.Thread(target=load_into, args=[second]).start()
        waiting(servers, "second")
        assert len(found) == 1
    wait_until(lambda: len(found) == 2, timeout=PATIENCE, what="the commit")
    assert found[1] == Loaded(new=0, late=0, reused=0, duplicates=1)
    second.close()


def test_a_warning_of_a_function_is_no_cancelled_wait(servers: Pair) -> None:
    with own_session(servers.url, "test") as session, session.transaction() as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("DO $$ BEGIN RAISE WARNING 'of a site'; END $$")
        connection.execute(_INSERT)
