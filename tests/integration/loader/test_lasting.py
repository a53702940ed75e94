"""A lasting cause delays only the chunks it affects, is logged once, and makes no dead letter.

One loader meets all causes: chunks that one of them delayed are loaded when it is repaired.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from psycopg.errors import DeadlockDetected

from loader.migrations import migrate
from loader.store.chunks import ChunkStore
from runtime.workers import judge, read_heartbeats
from schemas.errors import DatabaseUnavailable, StatesysError
from schemas.topology import DEAD
from tests.support.processes import PATIENCE, Program, batch, drain, fill, ready
from tests.support.waiting import wait_until
from tests.support.world import CLIENT, Tables, load, message, report

pytestmark = pytest.mark.timeout(240)


class Cause(NamedTuple):
    """What an operator did, how to undo it, and what health and log say meanwhile.

    Attributes:
        alone: whether only one client's rows are refused.
    """

    breaks: str
    repairs: str
    told: str
    alone: bool = False


def trigger(body: str, when: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; "
        f"RETURN NEW; END $$; CREATE TRIGGER refuse BEFORE INSERT ON current_state {when} "
        "EXECUTE FUNCTION refuse()"
    )


def raising(sqlstate: str) -> str:
    return f"RAISE EXCEPTION 'no room for {sqlstate}' USING ERRCODE = '{sqlstate}'"


NO_TRIGGER = "DROP TRIGGER refuse ON current_state"
ONE = "FOR EACH ROW WHEN (NEW.client_id = '{client}')"
CAUSES = {
    "a trigger that raises for one client": Cause(
        trigger(raising("P0001"), ONE), NO_TRIGGER, "no room for P0001", alone=True
    ),
    "a trigger that fails for one client": Cause(
        trigger("PERFORM * FROM nowhere", ONE), NO_TRIGGER, "nowhere", alone=True
    ),
    "a full disk for one client": Cause(
        trigger(raising("53100"), ONE), NO_TRIGGER, "no room for 53100", alone=True
    ),
    "a right that is missing": Cause(
        "REVOKE INSERT ON current_state FROM {user}",
        "GRANT INSERT ON current_state TO {user}",
        "give that right to the user",
    ),
    "a CHECK that nothing passes": Cause(
        "ALTER TABLE state_message ADD CONSTRAINT odd CHECK (topic_type < 0) NOT VALID",
        "ALTER TABLE state_message DROP CONSTRAINT odd",
        "refuses every row (SQLSTATE 23514",
    ),
    "a column that nobody fills": Cause(
        "ALTER TABLE current_state ADD owner text NOT NULL DEFAULT ''; "
        "ALTER TABLE current_state ALTER owner DROP DEFAULT",
        "ALTER TABLE current_state DROP owner",
        "refuses every row (SQLSTATE 23502",
    ),
    "a program limit of the database": Cause(
        trigger(raising("54000"), "FOR EACH STATEMENT"),
        NO_TRIGGER,
        "refuses every row (SQLSTATE 54000",
    ),
    "a column that is gone": Cause(
        "ALTER TABLE current_state RENAME details TO gone",
        "ALTER TABLE current_state RENAME gone TO details",
        '"details" of relation "current_state" does not exist',
    ),
}


class Site(NamedTuple):
    """A loader with one thread, with its health, log and tables."""

    loader: Program
    home: Path
    tables: Tables
    amqp_url: str

    def stored(self, client: UUID) -> set[int]:
        query = "SELECT serial FROM state_message WHERE client_id = %s"
        return {serial for (serial,) in self.tables.rows(query, client)}

    def problem(self) -> str:
        """The problem that health reports; empty if the loader is healthy and holds nothing."""
        (heartbeat,) = read_heartbeats(self.home, "loader")
        found = judge(heartbeat, now=time.monotonic(), interval=60).problem
        return found or ("still holds some" if heartbeat["held"] else "")

    def await_words(self, words: str) -> None:
        """Wait until health says these words."""
        wait_until(lambda: words in self.problem(), timeout=PATIENCE, what=f"the words {words}")

    def await_serials(self, client: UUID, serials: set[int]) -> None:
        """Wait until exactly these serials of a client are stored."""
        wait_until(lambda: self.stored(client) == serials, timeout=PATIENCE, what="the others")

    def told(self, words: str) -> int:
        """The number of log lines that have these words."""
        return sum(words in line.replace('\\"', '"') for line in self.loader.text.splitlines())


@pytest.fixture
def site(tmp_path: Path, amqp_url: str, limited_url: str, tables: Tables) -> Iterator[Site]:
    fill(amqp_url, [])
    with Program(
        tmp_path / "log",
        "loader",
        "run",
        "--threads=1",
        amqp_url=amqp_url,
        database_url=limited_url,
        home=tmp_path,
    ) as loader:
        loader.await_event("loader.consuming")
        yield Site(loader, tmp_path, tables, amqp_url)


def test_what_can_be_loaded_is_loaded_and_the_rest_waits(site: Site, limited_url: str) -> None:
    user = urlsplit(limited_url).username or ""
    for number, (name, cause) in enumerate(CAUSES.items(), 1):
        bad, good = (UUID(int=number * 10 + side, version=4) for side in (1, 2))
        site.tables.connection.execute(cause.breaks.format(client=bad, user=user))
        mixed = [report(message(1), message(2, topic="t2"), client=one) for one in (good, bad)]
        later = report(message(3), client=good)
        fill(site.amqp_url, [batch(*mixed), batch(later)])
        site.await_words(cause.told)
        if cause.alone:
            site.await_serials(good, {1, 2, 3})
        else:
            assert site.stored(good) == set(), name
        # The loader has retried meanwhile, and logged the cause only once.
        assert site.stored(bad) == set(), name
        assert site.told(cause.told) == 1, (name, site.loader.text)
        assert ready(site.amqp_url, DEAD) == 0, name

        site.tables.connection.execute(cause.repairs.format(user=user))
        wait_until(lambda: not site.problem(), timeout=PATIENCE, what=f"health after {name}")
        assert (site.stored(bad), site.stored(good)) == ({1, 2}, {1, 2, 3}), name
        assert ready(site.amqp_url, DEAD) == 0, name
    assert site.tables.law()["stored twice"] == []
    assert site.loader.process.poll() is None


def dropped(tables: Tables) -> bool:
    """Drop all tables; False after a deadlock with the partition task."""
    try:
        tables.connection.execute("DROP SCHEMA statesys CASCADE")
    except DeadlockDetected:
        return False
    return True


def test_tables_that_are_replaced_while_a_loader_runs(
    tmp_path: Path, amqp_url: str, database_url: str, tables: Tables
) -> None:
    fill(amqp_url, [])
    urls = {"amqp_url": amqp_url, "database_url": database_url}
    with Program(tmp_path / "log", "loader", "run", "--threads=1", **urls) as loader:
        loader.await_event("loader.consuming")
        wait_until(lambda: dropped(tables), timeout=PATIENCE, what="no tables")
        fill(amqp_url, [batch(report(message(1)))])
        loader.await_event("worker.waiting", holding="or was changed since")
        migrate(database_url)
        query = "SELECT serial FROM state_message"
        wait_until(lambda: tables.rows(query) == [(1,)], timeout=PATIENCE, what="the load")
        assert loader.process.poll() is None


def test_what_is_poison_in_a_message_is_the_databases_trouble_elsewhere(
    amqp_url: str, database_url: str, tables: Tables
) -> None:
    tables.connection.execute("ALTER TABLE loader ADD CHECK (name = '')")
    with pytest.raises(DatabaseUnavailable, match="23514"):
        drain(amqp_url, database_url)


@pytest.mark.parametrize(
    "sqlstate", ["25006", "0A000", "26000", "42P01", "53200", "58030", "XX000"]
)
def test_what_may_be_the_connections_fault_is_tried_on_another(
    sqlstate: str, store: ChunkStore, tables: Tables
) -> None:
    tables.connection.execute(trigger(raising(sqlstate), "FOR EACH ROW"))
    with pytest.raises(StatesysError):
        load(store, report(message(1), client=CLIENT))
    assert store.broken


def test_a_probe_leaves_nothing_and_finds_what_refuses_all(
    store: ChunkStore, tables: Tables
) -> None:
    store.probe()
    assert tables.rows("SELECT FROM client") == []
    tables.connection.execute(
        trigger(raising("P0001"), "FOR EACH ROW").replace(
            "CREATE TRIGGER refuse BEFORE INSERT ON current_state FOR EACH ROW",
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON current_state "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
        )
    )
    with pytest.raises(StatesysError, match="no room"):
        store.probe()
    tables.connection.execute(NO_TRIGGER)
    assert load(store, report(message(1))).new == 1
    assert not store.broken
