"""The quarantine: the command's table, and the list that loaders publish for the relays."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from loader.quarantine import QuarantineTask
from loader.store.quarantine import QuarantineStore
from runtime.broker import Administration
from runtime.workers import HeartbeatFile
from schemas.errors import StatesysError
from schemas.quarantine import MAX_QUARANTINED, parse_quarantine
from schemas.topology import QUARANTINE, QUEUES
from statesys import cli
from tests.support.brokers import vhost
from tests.support.management import Management
from tests.support.processes import ready, take_all
from tests.support.restricted import user_with
from tests.support.waiting import wait_until
from tests.support.world import CLIENT, Tables

Command = Callable[..., Result]


@pytest.fixture
def store(database_url: str) -> Iterator[QuarantineStore]:
    made = QuarantineStore(database_url, name="test")
    yield made
    made.close()


@pytest.fixture
def command(database_url: str, tmp_path: Path) -> Command:
    """Run `statesys client` on the database."""

    def run(*arguments: object) -> Result:
        environment = {"STATESYS_DATABASE_URL": database_url, "STATESYS_HOME": str(tmp_path)}
        return CliRunner().invoke(cli, ["client", *map(str, arguments)], env=environment)

    return run


@pytest.fixture
def declared(amqp_url: str) -> str:
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
    return amqp_url


@pytest.fixture
def make_task(database_url: str, tmp_path: Path) -> Callable[[str], QuarantineTask]:
    def make(url: str) -> QuarantineTask:
        return QuarantineTask(
            lambda: QuarantineStore(database_url, name="test"),
            url,
            heartbeat=HeartbeatFile(tmp_path, "loader"),
        )

    return make


def forget_turn(tables: Tables) -> None:
    """The next loader publishes, although another one did so just now."""
    tables.connection.execute("DELETE FROM duty WHERE name = 'quarantine'")


# -- the command ---------------------------------------------------------------------------------


def test_a_client_goes_in_and_out_and_the_list_says_who_and_why(command: Command) -> None:
    assert json.loads(command("quarantined", "--json").stdout)["clients"] == []
    done = command("quarantine", f"GUID:{str(CLIENT).upper()}", "--why", "loops\x1b[31m")
    assert done.exit_code == 0
    assert "within a minute" in done.stderr
    again = command("quarantine", CLIENT, "--why", "another reason")
    assert again.exit_code == 0
    assert "already" in again.stderr
    found = json.loads(command("quarantined", "--json").stdout)
    (one,) = found["clients"]
    assert (one["client_id"], one["why"]) == (str(CLIENT), "loops\\x1b[31m")
    assert "@" in one["by"]
    assert found["as_of"] > one["since"]
    text = command("quarantined")
    assert str(CLIENT) in text.stdout
    assert "1 clients are in quarantine, as of " in text.stderr
    assert "dead replay --reason quarantined" in command("release", CLIENT).stderr
    assert json.loads(command("quarantined", "--json").stdout)["clients"] == []


def test_bad_input_is_told_in_a_sentence(command: Command) -> None:
    done = command("quarantine", "WS-1")
    assert isinstance(done.exception, StatesysError)
    assert "no client is named 'WS-1'" in str(done.exception)
    assert command("quarantine").exit_code == 2
    done = command("release", CLIENT)
    assert isinstance(done.exception, StatesysError)
    assert "is not in quarantine" in str(done.exception)


def test_a_reason_is_cut(command: Command) -> None:
    assert command("quarantine", CLIENT, "--why", "x" * 10_000).exit_code == 0
    (one,) = json.loads(command("quarantined", "--json").stdout)["clients"]
    assert len(one["why"]) == 200


def test_more_than_the_limit_is_refused_whoever_asks_at_once(
    database_url: str, store: QuarantineStore, tables: Tables
) -> None:
    tables.connection.execute(
        "INSERT INTO client_quarantine (client_id, by, why) "
        "SELECT gen_random_uuid(), 'test', '' FROM generate_series(1, %s)",
        [MAX_QUARANTINED - 2],
    )
    assert store.quarantine(CLIENT, by="test", why="")
    taken: list[bool] = []

    def ask() -> None:
        other = QuarantineStore(database_url, name="test")
        try:
            taken.append(other.quarantine(uuid4(), by="test", why=""))
        except StatesysError:
            taken.append(False)
        finally:
            other.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == [False, False, False, True]
    assert not store.quarantine(CLIENT, by="test", why=""), "it is in already: no error"
    with pytest.raises(StatesysError, match="no place for more; release some"):
        store.quarantine(uuid4(), by="test", why="")


# -- the list for the relays ---------------------------------------------------------------------


def published(amqp_url: str) -> frozenset[UUID]:
    (delivery,) = take_all(amqp_url, QUARANTINE)
    assert delivery.properties.delivery_mode == 2
    return parse_quarantine(delivery.body)


def test_a_loader_publishes_the_whole_list_and_the_newest_replaces_the_others(
    declared: str,
    make_task: Callable[[str], QuarantineTask],
    store: QuarantineStore,
    tables: Tables,
) -> None:
    task, clients = make_task(declared), [uuid4() for _ in range(3)]
    task.run()
    for client in clients:
        store.quarantine(client, by="test", why="")
        forget_turn(tables)
        task.run()
    wait_until(lambda: ready(declared, QUARANTINE) == 1, what="one list")
    assert published(declared) == frozenset(clients)
    store.release(clients[0])
    forget_turn(tables)
    task.run()
    assert published(declared) == frozenset(clients[1:])


def test_one_loader_of_the_site_publishes_in_an_interval(
    declared: str, make_task: Callable[[str], QuarantineTask], store: QuarantineStore
) -> None:
    one, other = make_task(declared), make_task(declared)
    one.run()
    assert published(declared) == frozenset()
    other.run()
    one.run()
    assert ready(declared, QUARANTINE) == 0
    assert store.listed_if_due(interval=timedelta(0)) == []


def test_rows_written_by_hand_beyond_the_limit_leave_a_list_that_relays_read(
    declared: str, make_task: Callable[[str], QuarantineTask], tables: Tables
) -> None:
    tables.connection.execute(
        "INSERT INTO client_quarantine (client_id, by, why) "
        "SELECT gen_random_uuid(), 'test', '' FROM generate_series(1, %s)",
        [MAX_QUARANTINED + 5],
    )
    make_task(declared).run()
    assert len(published(declared)) == MAX_QUARANTINED


def test_a_queue_or_permission_that_is_missing_is_noted_and_its_end_too(
    declared: str,
    make_task: Callable[[str], QuarantineTask],
    management: Management,
    tables: Tables,
) -> None:
    task = make_task(declared)
    with Administration(declared, name="test") as admin:
        admin._channel.queue_delete(QUARANTINE)
    task.run()
    assert "is not published: no queue takes" in str(task._notice._told)
    with Administration(declared, name="test") as admin:
        admin.declare(QUEUES)
    with user_with(management, declared, ("^$", "^$", "^$")) as mute:
        forget_turn(tables)
        other = make_task(mute)
        other.run()
        assert "write access to exchange 'amq.default'" in str(other._notice._told)
    forget_turn(tables)
    task.run()
    assert task._notice._told is None


def test_a_policy_that_keeps_old_lists_in_is_noted(
    declared: str,
    make_task: Callable[[str], QuarantineTask],
    management: Management,
    tables: Tables,
) -> None:
    """The example of a length limit in older pages fits all queues."""
    body = {
        "pattern": r"^(mp_relayendpoint|statesys\.)",
        "definition": {"max-length-bytes": 20_000_000_000, "overflow": "reject-publish"},
        "apply-to": "queues",
    }
    management.call("PUT", "policies", vhost(declared), "limits", body=body)
    task = make_task(declared)

    def refused() -> bool:
        forget_turn(tables)
        task.run()
        return task._notice._told is not None

    wait_until(refused, what="a note about the list")
    assert "did not take the message" in str(task._notice._told)
