"""The owner upgrades a site from the first tables, with data in them; it works on at once.

The tables are a dump of what relay and loader of the first release made of reports with losses.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.earlier import first_tables_with_data
from tests.support.paths import DATA
from tests.support.secure_site import SecureSite
from tests.support.world import CLIENT, chunk_store, load, message, open_tables, report

pytestmark = pytest.mark.timeout(300)

DATABASE = "upgraded"
Rows: TypeAlias = dict[str, list[tuple[Any, ...]]]
ACTIVITY = ("activity_snapshot", "topic_activity", "top_window")


class Upgraded:
    """The database, and the commands of its roles.

    Attributes:
        before, after: all rows that the law is about, before and after the migration.
    """

    def __init__(self, site: SecureSite) -> None:
        self._site = site
        self.before: Rows = {}
        self.after: Rows = {}

    def law(self) -> Rows:
        """All rows that the law is about, as a reader sees them."""
        with open_tables(self.url("reader")) as tables:
            assert tables.ledger_errors() == []
            return tables.law()

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
    """A database of old workers that its owner upgraded; no other role has changed anything."""
    with site.superuser() as connection:
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER statesys_owner")
        connection.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO statesys_loader")
    with site.superuser(DATABASE) as connection:
        connection.execute(first_tables_with_data().encode())
    made = Upgraded(site)
    made.before = made.law()
    assert "applied 0002_" in made.run("owner", "loader", "migrate")
    made.after = made.law()
    yield made
    with site.superuser() as connection:
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def test_what_old_workers_stored_stays_as_it_was(upgraded: Upgraded) -> None:
    assert upgraded.after == upgraded.before
    assert {name: len(rows) for name, rows in upgraded.after.items()} == {
        "clients": 7,
        "open ranges": 5,
        "current state": 67,
        "history": 122,
        "stored twice": 0,
    }


def test_its_readers_see_everything(upgraded: Upgraded) -> None:
    assert "too young" in upgraded.run("reader", "gaps")
    assert "gaps" in upgraded.run("reader", "trace", CLIENT)
    for arguments in (
        *(("status",), ("states", CLIENT), ("resync", "check", "--dry-run")),
        ("collections", "list"),
        ("settings", "--site"),
        ("metrics",),
        ("compliance", 500, "t2"),
        ("compliance", 500, "--clients", "never"),
    ):
        assert upgraded.run("reader", *arguments)
    for what in ("clients", "topics"):
        assert "as of" in upgraded.run("reader", "top", what)


def test_its_loader_recognises_what_the_old_one_stored(upgraded: Upgraded) -> None:
    store = chunk_store(upgraded.url("loader"))
    loaded = load(store, report(message(2), message(3), message(4, topic="t2")))
    store.close()
    assert (loaded.new, loaded.duplicates) == (1, 2)


def test_its_loader_loads_and_writes_the_rules(upgraded: Upgraded) -> None:
    upgraded.run(
        "loader", "loader", "run", "--resyncs-per-check", "7", "--exit-when-empty", user="loader"
    )
    with psycopg.connect(upgraded.url("reader")) as connection:
        found = connection.execute("SELECT origin, resyncs_per_check FROM statesys.site")
        assert found.fetchall() == [("loader", 7)]
        assert connection.execute("SELECT FROM statesys.loader").fetchall() == []
        found = connection.execute("SELECT role FROM statesys.worker")
        # It waits a second for its last word to come back to it, which is no promise.
        assert found.fetchall() in ([("loader",)], [])


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


def test_its_operators_import_a_site_control_file(upgraded: Upgraded) -> None:
    upgraded.run("operator", "settings", "import", DATA / "site-control.txt")
    assert "site control file" in upgraded.run("reader", "settings", "--site")
    upgraded.run("operator", "settings", "import", "--forget")


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
