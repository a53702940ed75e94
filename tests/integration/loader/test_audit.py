"""The audit: its table on an upgraded site, and what is written there."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import psycopg
import pytest

from loader import migrations
from loader.store.audit import AuditStore
from schemas import tables

FILE = "0012_audit.sql"


@pytest.fixture
def roles(database_url: str) -> Iterator[dict[str, str]]:
    """Roles as the page gives them rights, on a site that has no audit yet."""
    found = {name: f"{name}_{uuid4().hex}" for name in ("operator", "reader", "loader")}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for role in found.values():
            connection.execute(f"CREATE ROLE {role}".encode())
        yield found
        for role in found.values():
            connection.execute(f"DROP OWNED BY {role}".encode())
            connection.execute(f"DROP ROLE {role}".encode())


def rights(connection: "psycopg.Connection[tuple[bool, ...]]", role: str) -> dict[str, bool]:
    asked = ("SELECT", "INSERT", "DELETE", "TRUNCATE")
    found = {
        right: connection.execute(
            "SELECT has_table_privilege(%s, 'statesys.audit_entry', %s)", [role, right]
        ).fetchone()
        for right in asked
    }
    columns = {
        column: connection.execute(
            "SELECT has_column_privilege(%s, 'statesys.audit_entry', %s, 'UPDATE')", [role, column]
        ).fetchone()
        for column in ("who", "result")
    }
    return {name: row == (True,) for name, row in {**found, **columns}.items()}


def test_an_upgraded_site_with_data_gives_the_audit_to_the_roles_it_has(
    empty_database_url: str,
    database_url: str,
    roles: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert database_url
    before = [file for file in tables.files() if file[0] < FILE]
    with monkeypatch.context() as then:
        then.setattr(tables, "files", lambda: before)
        migrations.migrate(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO statesys.client_quarantine (client_id, by, why)"
            " VALUES (gen_random_uuid(), 'a', 'b')"
        )
        for grant in (
            "SELECT ON statesys.duty TO {operator}, {reader}, {loader}",
            "INSERT, UPDATE, DELETE ON statesys.duty TO {loader}",
            "INSERT, DELETE ON statesys.client_quarantine TO {operator}",
        ):
            connection.execute(f"GRANT {grant.format(**roles)}".encode())
        assert FILE in migrations.migrate(empty_database_url)
        reads = {
            **dict.fromkeys(("INSERT", "DELETE", "TRUNCATE", "who", "result"), False),
            "SELECT": True,
        }
        assert rights(connection, roles["reader"]) == reads
        assert rights(connection, roles["loader"]) == reads
        writes = {**reads, "INSERT": True, "result": True}
        assert rights(connection, roles["operator"]) == writes
        left = connection.execute("SELECT count(*) FROM statesys.client_quarantine").fetchone()
        assert left == (1,)
        for role in roles.values():
            connection.execute(f"DROP OWNED BY {role}".encode())


def test_a_result_is_written_once(database_url: str) -> None:
    with closing(AuditStore(database_url, name="test")) as store:
        entry = store.begin(who="otto", address="::1", action="resync", command="statesys …")
        other = store.begin(who="otto", address="::1", action="resync", command="statesys …")
        store.end(entry, "done", failed=False)
        store.end(entry, "something else", failed=True)
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT id, failed, result, ended_at >= at FROM statesys.audit_entry ORDER BY id"
        ).fetchall()
    assert found == [(entry, False, "done", True), (other, None, None, None)]
