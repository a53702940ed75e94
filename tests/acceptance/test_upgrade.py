"""The owner upgrades a site from the first tables, with data in them; it works on at once."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest

from loader import migrations
from loader.store import ChunkStore
from tests.support.earlier import with_first_tables
from tests.support.secure_site import SecureSite
from tests.support.world import CLIENT, load, message, report

pytestmark = pytest.mark.timeout(300)

#: The grants that docs/operations.md had when the first file of tables was the only one.
GRANTS = """
GRANT USAGE ON SCHEMA statesys TO statesys_loader, statesys_operator, statesys_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA statesys TO statesys_operator, statesys_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE statesys_owner, statesys_loader IN SCHEMA statesys
    GRANT SELECT ON TABLES TO statesys_operator, statesys_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON statesys.client, statesys.current_state,
    statesys.missing_message_range, statesys.resync_request, statesys.duty TO statesys_loader;
GRANT CREATE ON SCHEMA statesys TO statesys_loader;
ALTER TABLE statesys.state_message OWNER TO statesys_loader;
DO $$ DECLARE leaf regclass; BEGIN
    FOR leaf IN SELECT relid FROM pg_partition_tree('statesys.state_message') WHERE isleaf LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO statesys_loader', leaf);
    END LOOP;
END $$;
GRANT UPDATE (duplicate_identity_at) ON statesys.client TO statesys_operator;
GRANT INSERT, UPDATE ON statesys.resync_request TO statesys_operator;
GRANT DELETE ON statesys.client, statesys.current_state,
    statesys.missing_message_range, statesys.resync_request TO statesys_operator;
-- Stricter than the page: nobody may call a function for being somebody.
ALTER DEFAULT PRIVILEGES FOR ROLE statesys_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
"""
DATABASE = "upgraded"
ACTIVITY = ("activity_snapshot", "topic_activity", "top_window")


class Upgraded:
    """The database, and the commands of its roles."""

    def __init__(self, site: SecureSite) -> None:
        self._site = site

    def url(self, role: str) -> str:
        """The URL of the database for a role."""
        url = urlsplit(self._site.database_url(role))
        return url._replace(path=f"/{DATABASE}").geturl()

    def run(self, role: str, *arguments: object, user: str = "operator") -> str:
        """Run a command, which must succeed, and return its output."""
        url = self.url(role)
        done = self._site.run(*arguments, user=user, STATESYS_DATABASE_URL=url)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def upgraded(site: SecureSite) -> Iterator[Upgraded]:
    """A database that its owner upgraded; no other role has changed anything."""
    with site.superuser() as connection:
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER statesys_owner")
        connection.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO statesys_loader")
    made = Upgraded(site)
    with pytest.MonkeyPatch.context() as before:
        with_first_tables(before)
        migrations.migrate(made.url("owner"))
        with psycopg.connect(made.url("owner"), autocommit=True) as connection:
            connection.execute(GRANTS)
        _load(made.url("loader"))
    assert "applied 0002_" in made.run("owner", "loader", "migrate")
    yield made
    with site.superuser() as connection:
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def _load(url: str) -> None:
    store = ChunkStore(
        url,
        name="test",
        reuse_tolerance=timedelta(minutes=5),
        max_ranges=1000,
        min_missing_age=timedelta(hours=48),
    )
    load(store, report(message(2), message(4, topic="t2")))
    store.close()


def test_its_readers_see_everything(upgraded: Upgraded) -> None:
    assert "too young" in upgraded.run("reader", "gaps")
    assert "gaps" in upgraded.run("reader", "trace", CLIENT)
    for arguments in (
        *(("status",), ("states", CLIENT), ("resync", "check", "--dry-run")),
        ("collections", "list"),
        ("settings", "--site"),
        ("compliance", 500, "t2"),
        ("compliance", 500, "--clients", "never"),
    ):
        assert upgraded.run("reader", *arguments)
    for what in ("clients", "topics"):
        assert "as of" in upgraded.run("reader", "top", what)


def test_its_loader_loads_and_writes_the_rules(upgraded: Upgraded) -> None:
    upgraded.run(
        "loader", "loader", "run", "--resyncs-per-check", "7", "--exit-when-empty", user="loader"
    )
    with psycopg.connect(upgraded.url("reader")) as connection:
        found = connection.execute("SELECT origin, resyncs_per_check FROM statesys.site")
        assert found.fetchall() == [("loader", 7)]
        assert connection.execute("SELECT FROM statesys.loader").fetchall() == []
        found = connection.execute("SELECT role FROM statesys.worker WHERE ended_at IS NOT NULL")
        assert found.fetchall() == [("loader",)]


def test_its_operators_ask_and_forget(upgraded: Upgraded) -> None:
    early = ("--min-missing-message-age", "0s")
    assert str(CLIENT) in upgraded.run("operator", "resync", "check", *early)
    upgraded.run("operator", "resync", "request", CLIENT)
    upgraded.run("operator", "client", "forget", CLIENT, "--yes")
    upgraded.run("operator", "collections", "create", "Seen", "seen < 1d")
    upgraded.run("operator", "collections", "delete", "Seen", "--yes")
    upgraded.run("operator", "client", "quarantine", CLIENT)
    assert str(CLIENT) in upgraded.run("reader", "client", "quarantined")
    upgraded.run("operator", "client", "release", CLIENT)


def test_nobody_but_its_loader_writes_the_rules(upgraded: Upgraded) -> None:
    for role in ("operator", "reader"):
        for table in (
            "site",
            "site_totals",
            "state_totals",
            "loader",
            *ACTIVITY,
            *("worker", "worker_ended"),
        ):
            with (
                psycopg.connect(upgraded.url(role)) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute(f"DELETE FROM statesys.{table}".encode())
