"""At its start a loader names each right that it lacks, before it takes a delivery."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from loader.migrations import migrate
from loader.rights import require_place_to_load
from loader.store.activity import TOPICS_KEPT, ActivityStore
from loader.store.collections import CollectionStore
from loader.store.partitions import PartitionStore
from loader.store.quarantine import QuarantineStore
from loader.store.resyncs import ResyncStore
from loader.store.sites import RunningLoader
from loader.store.workers import WorkerStore
from schemas.errors import DatabaseUnavailable
from tests.support.heartbeats import beat
from tests.support.processes import Program, batch, drain, fill, ready
from tests.support.promises import promise
from tests.support.world import CLIENT, message, report


class Role:
    """A role that may only use the schema."""

    def __init__(self, connection: psycopg.Connection, database_url: str) -> None:
        self.name = f"role_{uuid4().hex}"
        self._connection = connection
        parts = urlsplit(database_url)
        self.url = parts._replace(netloc=f"{self.name}:p@{parts.hostname}:{parts.port}").geturl()
        for statement in (
            f"CREATE ROLE {self.name} LOGIN PASSWORD 'p'",
            f"GRANT USAGE ON SCHEMA statesys TO {self.name}",
            f"REVOKE ALL ON DATABASE {parts.path[1:]} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {parts.path[1:]} TO {self.name}",
            "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA statesys FROM PUBLIC",
        ):
            connection.execute(statement.encode())

    def get(self, right: str) -> None:
        """Give the role a right that the loader named as missing."""
        statement = f"GRANT {right} TO {self.name}"
        if (owned := re.fullmatch("ownership of (.*)", right)) is not None:
            statement = f"ALTER TABLE {owned[1]} OWNER TO {self.name}"
        self._connection.execute(statement.encode())


@pytest.fixture
def role(database_url: str) -> Iterator[Role]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        role = Role(connection, database_url)
        yield role
        connection.execute(f"REASSIGN OWNED BY {role.name} TO CURRENT_USER".encode())
        connection.execute(f"DROP OWNED BY {role.name}".encode())
        connection.execute(f"DROP ROLE {role.name}".encode())


def lacking(url: str) -> list[str]:
    with pytest.raises(DatabaseUnavailable) as told:
        require_place_to_load(url)
    found = re.search(" lacks (.*); grant it", str(told.value))
    assert found is not None
    return found[1].split(", ")


def test_a_loader_is_told_all_that_it_lacks_and_no_more_is_needed(
    role: Role, amqp_url: str, tmp_path: Path
) -> None:
    fill(amqp_url, [batch(report(message(1)))])
    log = tmp_path / "log"
    with Program(log, "loader", "run", amqp_url=amqp_url, database_url=role.url) as program:
        told = promise("loader run", "a right of its role is lacking")
        assert (program.end(), told.holds_in(program.text)) == (told.code, True)
    # The loader took no delivery.
    assert ready(amqp_url) == 1
    rights = lacking(role.url)
    assert {"TEMPORARY", "INSERT", "UPDATE"} <= {right.split()[0] for right in rights}
    for right in rights:
        role.get(right)
    drain(amqp_url, role.url)
    assert ready(amqp_url) == 0
    # An operator's, over all that a rule may ask for.
    role._connection.execute(
        "INSERT INTO statesys.collection (name, rule, created_at, created_by) VALUES ('Old', "
        "'no state(1) and version > ''0'' and seen > 7d and condition != gaps', now(), '')"
    )
    _do_the_duties(role.url)


def _do_the_duties(url: str) -> None:
    """Do at once what a loader's periodic tasks do in three days."""
    with closing(PartitionStore(url, name="test")) as partitions:
        made = partitions._make(date(2020, 1, 1))
        assert partitions.keep(retention=timedelta(days=90)) == ([], [made])
        partitions.forget(retention=timedelta(days=90))
    with closing(ResyncStore(url, name="test")) as resyncs:
        resyncs.require_current_tables()
        loader = RunningLoader.here(resyncs.rules())
        resyncs.site.start(loader)
        resyncs.site.seen(loader)
        now = resyncs.now()
        intervals = {"check_interval": timedelta(0), "urgent_interval": timedelta(0)}
        resyncs.check_if_due(now=now, limit=10, **intervals)
        resyncs.request(CLIENT, now=now)
        assert resyncs.keep_state_totals(now=now, interval=timedelta(0))
        resyncs.put_off(now=now, spread=timedelta(hours=1))
        (unsent,) = resyncs.unsent(now=now)
        resyncs.mark(unsent.request, sent=True, now=now)
        resyncs.commit()
        resyncs.site.leave(loader)
    with closing(ActivityStore(url)) as activity:
        for hours in (2, 3):
            assert activity.take_snapshot(now=now + timedelta(hours=hours)) is not None
        assert activity.keep_top(now=now + timedelta(hours=4), interval=timedelta(minutes=5))
        activity.add_topics({500: 1}, now=now)
        activity.add_topics({500: 1}, now=now + TOPICS_KEPT * 2)
    with closing(WorkerStore(url, name="test")) as workers:
        for worker, age in ((uuid4(), "8 days"), (uuid4(), "9 days")):
            workers.fold([beat(worker, 1)])
            workers.fold([beat(worker, 2)])
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    "UPDATE statesys.worker SET seen_at = now() - %s::interval", [age]
                )
            # The second time, the row of the role is there.
            workers.retire()
    with closing(QuarantineStore(url, name="test")) as quarantine:
        quarantine.listed_if_due(interval=timedelta(0))
    with closing(CollectionStore(url, name="test")) as collections:
        found = collections.evaluate_next(now=collections.now(), interval=timedelta(0))
        assert found == ("Old", 1, 0, None)


@pytest.mark.parametrize(
    "right", ["TEMPORARY ON DATABASE {}", "INSERT ON statesys.client", "UPDATE ON statesys.site"]
)
def test_one_right_that_is_lacking_is_told_alone(role: Role, database_url: str, right: str) -> None:
    one = right.format(urlsplit(database_url).path[1:])
    for other in set(lacking(role.url)) - {one}:
        role.get(other)
    assert lacking(role.url) == [one]


def test_a_migration_says_what_it_needs_to_create(empty_database_url: str) -> None:
    name = urlsplit(empty_database_url).path[1:]
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA statesys")
        role = Role(connection, empty_database_url)
        try:
            told = promise("loader migrate", "something is to be made, and a right is lacking")
            with pytest.raises(DatabaseUnavailable, match="lacks CREATE ON SCHEMA statesys;"):
                migrate(role.url)
            connection.execute("DROP SCHEMA statesys")
            with pytest.raises(DatabaseUnavailable, match=f"CREATE ON DATABASE {name};") as error:
                migrate(role.url)
            assert told.holds_in(str(error.value))
            assert error.value.exit_code == told.code
            role.get(f"CREATE ON DATABASE {name}")
            assert migrate(role.url)
        finally:
            connection.execute(f"DROP OWNED BY {role.name} CASCADE".encode())
            connection.execute(f"DROP ROLE {role.name}".encode())
