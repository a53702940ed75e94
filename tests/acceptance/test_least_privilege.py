"""The users and roles of docs/operations.md suffice, and can do no more."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from loader.store.partitions import PartitionStore
from runtime.broker import Administration, persistent
from runtime.workers import judge
from schemas.errors import PermissionMissing
from schemas.topology import (
    DEAD,
    INCOMING,
    QUARANTINE,
    QUEUES,
    REPORTS,
    RESYNC,
    WORKERS,
    reply_queue,
)
from tests.support.life import Life
from tests.support.paths import DATA
from tests.support.secure_site import FLEET, SecureSite
from tests.support.waiting import wait_until

# The first test also waits for servers, users, and a fleet's whole life.
pytestmark = pytest.mark.timeout(300)

#: Another fleet's store.
OTHER = UUID("0f0e0d0c-0b0a-4900-8807-060504030201")
OTHERS_QUEUE = reply_queue(OTHER)
NOBODY = "f1b03089-9ea1-4a64-83dc-5f8e77bddeb4"
TABLES = (
    *("client", "state_message", "current_state", "missing_message_range"),
    *(
        "resync_request",
        "topic_state",
        "duty",
        "migration",
        "site",
        "site_totals",
        "state_totals",
        "rare_state",
        "loader",
        "client_activity",
        "activity_snapshot",
        "topic_activity",
        "top_window",
        "top_client",
    ),
    *("collection", "collection_member"),
    *("worker", "worker_ended", "client_quarantine", "audit_entry"),
)
#: Tables that a role may change; only the owner may change the others.
LEDGER = {
    *("client", "current_state", "missing_message_range", "resync_request"),
    *("duty", "site", "site_totals", "state_totals", "rare_state", "loader"),
    *("collection", "collection_member"),
    *("worker", "worker_ended", "client_quarantine"),
    *("client_activity", "activity_snapshot", "topic_activity", "top_window", "top_client"),
}

PRINTED = str(DATA / "site-control.txt")

Act = Callable[[Administration], object]


@pytest.fixture(scope="module")
def queues(site: SecureSite) -> list[str]:
    """All queues, including one of another fleet."""
    with Administration(site.amqp_url("installer"), name="test") as admin:
        admin.declare([*QUEUES, OTHERS_QUEUE])
    return [queue.name for queue in (*QUEUES, OTHERS_QUEUE)]


# -- what they can do ------------------------------------------------------------------------


def test_a_lossy_fleet_is_asked_and_answers_and_all_of_it_is_verified(life: Life) -> None:
    assert life.verified.returncode == 0, life.verified.stdout + life.verified.stderr
    totals = life.status["database"]["totals"]
    assert totals["answered"] > 0
    assert totals["missing_ranges"] == 0
    assert life.status["broker"]["management"] is True


def test_workers_that_may_not_configure_say_so_and_are_healthy(life: Life) -> None:
    heartbeats = [json.loads(words) for words in life.health]
    assert {heartbeat["note"].partition(" (")[0] for heartbeat in heartbeats} == {
        "topology not verified"
    }
    assert all(judge(p, now=p["written"], interval=60).problem is None for p in heartbeats)
    assert "topology_not_verified" in life.logs


@pytest.mark.parametrize(
    "arguments",
    [
        *(("status",), ("gaps",), ("dead", "list"), ("dead", "show", "1")),
        *(("verify", "--fleet", FLEET), ("trace", "{client}"), ("trace", "{client}", "1")),
        *(("states", "{client}"), ("top", "clients"), ("top", "topics")),
        *(("states", "{client}"), ("settings", "--site")),
        ("client", "quarantined", "--json"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("life")
def test_an_operator_who_may_read_sees_everything(
    site: SecureSite, arguments: tuple[str, ...]
) -> None:
    with psycopg.connect(site.database_url("reader")) as connection:
        row = connection.execute("SELECT client_id FROM statesys.client LIMIT 1").fetchone()
    assert row is not None
    given = [argument.format(client=row[0]) for argument in arguments]
    done = site.run(*given, user="operator", role="reader")
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.usefixtures("life")
def test_an_operator_asks_and_forgets_clients_and_moves_letters(site: SecureSite) -> None:
    with psycopg.connect(site.database_url("reader")) as connection:
        row = connection.execute("SELECT max(client_id::text) FROM statesys.client").fetchone()
    assert row is not None
    for arguments in (
        ("resync", "check"),
        ("resync", "request", row[0]),
        ("dead", "replay", "--all"),
        ("client", "quarantine", row[0]),
        ("client", "release", row[0]),
    ):
        done = site.run(*arguments, user="operator", role="operator")
        assert done.returncode == 0, done.stderr
    # The relay refuses the replayed report again, so there is a dead letter to purge.
    done = site.run("relay", "run", "--exit-when-empty", user="relay")
    assert done.returncode == 0, done.stderr
    done = site.run("dead", "purge", "--yes", user="operator")
    assert done.returncode == 0, done.stderr
    # A client that no other test uses.
    with psycopg.connect(site.database_url("loader"), autocommit=True) as connection:
        connection.execute("INSERT INTO statesys.client (client_id) VALUES (%s)", [NOBODY])
    done = site.run("client", "forget", NOBODY, "--yes", role="operator")
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("life")
def test_erasing_a_client_takes_the_loader_s_role(site: SecureSite) -> None:
    with psycopg.connect(site.database_url("reader")) as connection:
        row = connection.execute("SELECT min(client_id::text) FROM statesys.client").fetchone()
    assert row is not None
    denied = site.run("client", "erase", row[0], "--yes", role="operator")
    assert (denied.returncode, denied.stdout) == (4, "")
    assert "permission denied for table state_message" in denied.stderr
    # All of it stays.
    assert _rows_of(site, row[0]) == [True, True]
    done = site.run("client", "erase", row[0], "--yes", role="loader")
    assert done.returncode == 0, done.stderr
    assert _rows_of(site, row[0]) == [False, False]


def _rows_of(site: SecureSite, client_id: str) -> list[bool]:
    """Whether there is a client, and a history of it."""
    with psycopg.connect(site.database_url("reader")) as connection:
        found = [
            connection.execute(
                f"SELECT EXISTS (SELECT FROM statesys.{table} WHERE client_id = %s)".encode(),
                [client_id],
            ).fetchone()
            for table in ("client", "state_message")
        ]
    return [row[0] for row in found if row is not None]


def test_an_operator_makes_and_deletes_collections_that_a_reader_sees(site: SecureSite) -> None:
    for role, arguments in (
        ("operator", ("create", "Seen", "seen < 1d")),
        ("operator", ("create", "Seen", "seen < 2d", "--replace")),
        *(("reader", words) for words in (("list",), ("show", "Seen"), ("members", "Seen"))),
        ("operator", ("delete", "Seen", "--yes")),
    ):
        done = site.run("collections", *arguments, role=role)
        assert done.returncode == 0, done.stderr


def test_a_loader_drops_the_partitions_that_a_migration_made(site: SecureSite) -> None:
    day = date(2020, 1, 1)
    with closing(PartitionStore(site.database_url("owner"), name="test")) as store:
        made = store._make(day)
    with closing(PartitionStore(site.database_url("loader"), name="test")) as store:
        _, dropped = store.keep(retention=timedelta(days=90))
    assert dropped == [made]


def test_workers_with_the_least_rights_are_known_and_told_of_the_quarantine(
    site: SecureSite, life: Life
) -> None:
    totals = life.status["database"]["worker_totals"]
    assert {one["role"] for one in totals} == {"relay", "loader"}
    assert "heartbeat_not_sent" not in life.logs
    assert "heartbeats_not_stored" not in life.logs
    assert "quarantine_not_published" not in life.logs
    assert "quarantine_unknown" not in life.logs
    with Administration(site.amqp_url("installer"), name="test") as admin:
        depth = admin.depth(QUARANTINE)
    assert depth is not None
    assert depth.ready == 1


# -- what they cannot do in RabbitMQ ---------------------------------------------------------


def take(queue: str) -> Act:
    return lambda admin: admin.take(queue)


def publish(exchange: str, key: str) -> Act:
    return lambda admin: admin.publish(
        exchange=exchange, routing_key=key, body=b"", properties=persistent()
    )


def refused(site: SecureSite, user: str, act: Act) -> str:
    """The error message for RabbitMQ's refusal."""
    with (
        Administration(site.amqp_url(user), name="test") as admin,
        pytest.raises(PermissionMissing) as error,
    ):
        act(admin)
    assert f"for user 'statesys-{user}'" in str(error.value)
    assert error.value.exit_code == 3
    return str(error.value)


#: The queues that each user may read, by the page.
READABLE = {
    FLEET: set[str](),
    "relay": {REPORTS, QUARANTINE},
    "loader": {*INCOMING.values(), WORKERS},
    "operator": {DEAD},
}


@pytest.mark.parametrize("user", READABLE)
def test_nobody_reads_another_ones_queue(site: SecureSite, queues: list[str], user: str) -> None:
    for queue in set(queues) - READABLE[user]:
        assert f"read access to queue '{queue}'" in refused(site, user, take(queue))
    with Administration(site.amqp_url(user), name="test") as admin:
        for queue in READABLE[user]:
            if (delivery := admin.take(queue)) is not None:
                admin.requeue(delivery.tag)


@pytest.mark.parametrize("user", READABLE)
def test_nobody_deletes_or_declares_what_is_not_his(
    site: SecureSite, queues: list[str], user: str
) -> None:
    def delete(name: str) -> Act:
        def act(admin: Administration) -> None:
            with admin._translated("configure"):
                admin._channel.queue_delete(name)

        return act

    def delete_exchange(admin: Administration) -> None:
        with admin._translated("configure"):
            admin._channel.exchange_delete(REPORTS)

    for queue in queues:
        assert f"configure access to queue '{queue}'" in refused(site, user, delete(queue))
    assert f"configure access to exchange '{REPORTS}'" in refused(site, user, delete_exchange)
    new = reply_queue(UUID(int=7))
    told = refused(site, user, lambda admin: admin.declare([new]))
    assert f"configure access to queue '{new.name}'" in told


@pytest.mark.parametrize("key", [*INCOMING.values(), RESYNC, OTHERS_QUEUE.name, DEAD])
@pytest.mark.usefixtures("queues")
def test_a_client_publishes_reports_and_nothing_else(site: SecureSite, key: str) -> None:
    assert "write access to exchange 'amq.default'" in refused(site, FLEET, publish("", key))


def test_a_client_cannot_listen_to_other_clients_reports(site: SecureSite, life: Life) -> None:
    (own,) = life.status["database"]["totals"]["reply_queues"]

    def bind(admin: Administration) -> None:
        with admin._translated():
            admin._channel.queue_bind(own, REPORTS, REPORTS)

    refused(site, FLEET, bind)


@pytest.mark.parametrize("user", ["relay", "loader", "operator"])
@pytest.mark.usefixtures("queues")
def test_no_worker_publishes_as_a_client(site: SecureSite, user: str) -> None:
    told = refused(site, user, publish(REPORTS, REPORTS))
    assert f"write access to exchange '{REPORTS}'" in told


# -- what they cannot do in PostgreSQL -------------------------------------------------------


def denied(site: SecureSite, role: str, statement: str) -> None:
    with (
        psycopg.connect(site.database_url(role)) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_a_migration_with_nothing_to_do_needs_no_right_to_do_it(site: SecureSite) -> None:
    done = site.run("loader", "migrate", role="reader")
    assert (done.returncode, done.stderr) == (0, "nothing to do\n")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} DEFAULT VALUES",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "ALTER TABLE {} ADD COLUMN more text",
        "DROP TABLE {} CASCADE",
    ],
)
def test_a_reader_changes_no_table(site: SecureSite, statement: str, table: str) -> None:
    denied(site, "reader", statement.format(f"statesys.{table}"))


@pytest.mark.parametrize("role", ["loader", "operator"])
@pytest.mark.parametrize("table", sorted(set(TABLES) - {"state_message"}))
def test_nobody_but_the_owner_empties_or_drops_a_table(
    site: SecureSite, role: str, table: str
) -> None:
    for statement in ("TRUNCATE {}", "DROP TABLE {} CASCADE", "ALTER TABLE {} ADD COLUMN m text"):
        denied(site, role, statement.format(f"statesys.{table}"))
    if table not in LEDGER:
        denied(site, role, f"DELETE FROM statesys.{table}")


@pytest.mark.parametrize("role", ["loader", "operator", "reader"])
@pytest.mark.parametrize(
    "statement",
    [
        *("DROP SCHEMA statesys CASCADE", "ALTER SCHEMA statesys RENAME TO other"),
        *("CREATE SCHEMA other", "DROP DATABASE statesys", "CREATE ROLE other"),
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_only_the_owner_changes_the_schema(site: SecureSite, role: str, statement: str) -> None:
    url = site.database_url(role)
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises((errors.InsufficientPrivilege, errors.ObjectInUse)) as error,
    ):
        connection.execute(statement.encode())
    # No session can drop its own database, so this checks only that the role does not own it.
    if isinstance(error.value, errors.ObjectInUse):
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "SELECT pg_has_role(datdba, 'MEMBER') FROM pg_database WHERE datname = 'statesys'"
            ).fetchone()
        assert row == (False,)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO statesys.client (client_id) VALUES (gen_random_uuid())",
        "UPDATE statesys.client SET highest_serial = 1",
        "DELETE FROM statesys.state_message",
        "UPDATE statesys.current_state SET state_id = 1",
        "UPDATE statesys.missing_message_range SET closed_at = now()",
        "UPDATE statesys.client_quarantine SET why = ''",
        "DELETE FROM statesys.worker",
        "CREATE TABLE statesys.other ()",
        "CREATE TEMPORARY TABLE other ()",
    ],
)
def test_an_operator_does_not_change_what_clients_said(site: SecureSite, statement: str) -> None:
    denied(site, "operator", statement)


def test_new_tables_and_partitions_are_readable_and_no_more(site: SecureSite) -> None:
    with psycopg.connect(site.database_url("owner"), autocommit=True) as connection:
        found = connection.execute(
            "SELECT relname, has_table_privilege('statesys_reader', c.oid, 'SELECT'), "
            "has_table_privilege('statesys_reader', c.oid, "
            "'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') "
            "FROM pg_class c WHERE relnamespace = 'statesys'::regnamespace AND relkind IN ('r','p')"
        ).fetchall()
    assert {name for name, _, _ in found} > set(TABLES)
    assert [name for name, may_read, may_write in found if may_write or not may_read] == []


# -- error messages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "user", "role", "code", "words"),
    [
        (("relay", "run"), FLEET, None, 3, "write access to exchange 'amq.default'"),
        (("relay", "run"), "loader", None, 3, f"read access to queue '{REPORTS}'"),
        (("loader", "run"), "relay", "loader", 3, "read access to queue 'statesys.incoming"),
        (("loader", "run"), "loader", "reader", 4, "lacks TEMPORARY ON DATABASE statesys"),
        (("producers", "publish", "--fleet", "south"), FLEET, None, 3, f"to queue '{RESYNC}."),
        (("producers", "run", "--fleet", "south"), FLEET, None, 3, f"to queue '{RESYNC}."),
        (("dead", "list"), FLEET, None, 3, f"read access to queue '{DEAD}'"),
        (("verify", "--fleet", FLEET), FLEET, "reader", 3, f"read access to queue '{DEAD}'"),
        (("loader", "migrate"), None, "loader", 4, "permission denied for table migration"),
        (("resync", "check"), None, "reader", 4, "permission denied for table"),
        (("resync", "request", NOBODY), None, "reader", 4, "permission denied for table"),
        (("client", "forget", NOBODY, "--yes"), None, "reader", 4, "permission denied for table"),
        (("top", "clients"), None, "stranger", 4, "permission denied for schema statesys"),
        (("collections", "create", "x", "seen < 1d"), None, "reader", 4, "for table collection"),
        (("client", "quarantine", NOBODY), None, "reader", 4, "permission denied for table"),
        (("client", "quarantine", NOBODY), None, "loader", 4, "permission denied for table"),
        (("client", "release", NOBODY), None, "reader", 4, "permission denied for table"),
        (("settings", "import", PRINTED), None, "reader", 4, "permission denied for table site"),
        (("gaps",), None, "stranger", 4, "permission denied for schema statesys"),
        (("states", NOBODY), None, "stranger", 4, "permission denied for schema statesys"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
@pytest.mark.usefixtures("queues", "stranger")
def test_who_lacks_a_right_is_told_which_one(
    site: SecureSite,
    arguments: tuple[str, ...],
    user: str | None,
    role: str | None,
    code: int,
    words: str,
) -> None:
    done = site.run(*arguments, user=user, role=role)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "STATESYS_AMQP_URL" in done.stderr or "STATESYS_DATABASE_URL" in done.stderr


@pytest.fixture(scope="module")
def stranger(site: SecureSite) -> None:
    """A role that may connect and nothing else."""
    (site.directory / "statesys_stranger.password").write_text("d9c1e5a7b3f24680")
    with site.superuser() as connection:
        connection.execute("SET log_statement = 'none'")
        connection.execute("CREATE ROLE statesys_stranger LOGIN PASSWORD 'd9c1e5a7b3f24680'")
        connection.execute("GRANT CONNECT ON DATABASE statesys TO statesys_stranger")


@pytest.mark.usefixtures("life")
def test_a_relay_that_may_not_write_loses_nothing(site: SecureSite) -> None:
    site.shell(
        "umask 077\n"
        "openssl rand -hex 16 >statesys-mute.password\n"
        "rabbitmqctl add_user statesys-mute <statesys-mute.password\n"
        "rabbitmqctl set_permissions --vhost statesys statesys-mute '^$' '^$' '^mp_relayendpoint$'"
    )
    published = site.run("producers", "publish", "--fleet", FLEET, "--cycles", "0", user=FLEET)
    assert published.returncode == 0, published.stderr
    with Administration(site.amqp_url("relay"), name="test") as admin:

        def ready() -> int:
            depth = admin.depth(REPORTS)
            assert depth is not None
            return depth.ready

        before = ready()
        assert before > 0
        done = site.run("relay", "run", user="mute")
        assert done.returncode == 3
        assert "write access to exchange 'amq.default'" in done.stderr
        wait_until(lambda: ready() == before, what="the reports to be back")
    for worker in ("relay", "loader"):
        done = site.run(worker, "run", "--exit-when-empty", user=worker, role="loader")
        assert done.returncode == 0, done.stderr
