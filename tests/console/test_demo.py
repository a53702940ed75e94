"""`statesys demo`: the whole job, with real workers."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from console.queries.slate import empty
from producers.store import Store, open_store
from runtime.broker import Administration, persistent
from schemas.topology import DEAD, INCOMING, QUEUES, REPORTS, reply_queue
from tests.console.conftest import Run
from tests.waiting import wait_until

SMALL = ("--clients", "40", "--cycles", "2", "--messages", "3")
FAULTS = ("--loss", "0.1", "--duplicate", "0.1", "--reorder", "0.1", "--corrupt", "0.1")


def counted(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_a_demo_is_verified_and_its_counts_are_those_of_the_database(
    run: Run, environment: dict[str, str], database_url: str, amqp_url: str, tmp_path: Path
) -> None:
    directory = tmp_path / "home" / "demo"
    done = run("demo", *SMALL, *FAULTS, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("verified: ")
    found = {name: int(number) for name, number in re.findall(r"([a-z]+) (\d+)", last)}
    assert found["forwarded"] > found["loaded"] > 40 * 6
    history = "SELECT count(*) FROM statesys.state_message"
    assert found["loaded"] == counted(database_url, history)
    duplicates = "SELECT sum(duplicates) FROM statesys.client"
    assert found["duplicates"] == counted(database_url, duplicates) > 0
    ranges = "SELECT count(*) FROM statesys.missing_message_range"
    assert found["opened"] == counted(database_url, ranges) > 0
    assert found["closed"] == found["opened"]
    requests = "SELECT count(*) FROM statesys.resync_request"
    assert found["requested"] == counted(database_url, requests) > 0
    with Administration(amqp_url, name="test") as admin:
        depth = admin.depth(DEAD)
        assert depth is not None
        assert found["refused"] == depth.ready > 0
        for queue in (REPORTS, *INCOMING.values()):
            left = admin.depth(queue)
            assert left is not None
            assert (left.ready, left.consumers) == (0, 0)
    # What it leaves can be looked at with the other commands.
    verified = run("verify", "--fleet", directory / "fleet", env=environment)
    assert verified.returncode == 0
    assert "stopped" in (directory / "loader.log").read_text()

    again = run("demo", *SMALL, *FAULTS, "--json", env=environment)
    assert again.returncode == 0, again.stderr
    repeated = json.loads(again.stdout)
    assert repeated["verified"]
    assert repeated["clients"] == counted(database_url, "SELECT count(*) FROM statesys.client")
    assert repeated["loaded"] == counted(database_url, history)


def test_a_demo_eats_nobodys_clients(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO statesys.client (client_id) VALUES (gen_random_uuid())")
    done = run("demo", *SMALL, env=environment)
    assert done.returncode == 1
    assert "1 client of somebody else's" in done.stderr
    assert counted(database_url, "SELECT count(*) FROM statesys.client") == 1


def leaves_a_foreign_report(run: Run, environment: dict[str, str], amqp_url: str) -> None:
    """See that a demo refuses to begin over somebody else's report, and leaves it there."""
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        admin.publish(routing_key=REPORTS, body=b"x", properties=persistent())
        done = run("demo", *SMALL, env=environment)
        assert done.returncode == 1
        assert f"1 message of somebody else's in {REPORTS}" in done.stderr
        depth = admin.depth(REPORTS)
        assert depth is not None
        assert depth.ready == 1


def test_a_demo_eats_nobodys_messages_unless_told_to(
    run: Run, environment: dict[str, str], amqp_url: str
) -> None:
    leaves_a_foreign_report(run, environment, amqp_url)
    done = run("demo", *SMALL, "--corrupt", 0, "--reset", env=environment)
    assert done.returncode == 0, done.stderr
    assert "refused 0" in done.stdout


def test_a_demo_keeps_out_of_the_way_of_other_workers(
    run: Run, environment: dict[str, str]
) -> None:
    relay = subprocess.Popen([sys.executable, "-m", "statesys", "relay", "run"], env=environment)
    try:
        with Administration(environment["STATESYS_AMQP_URL"], name="test") as admin:

            def works() -> bool:
                depth = admin.depth(REPORTS)
                return depth is not None and depth.consumers == 1

            wait_until(works, what="the relay")
        done = run("demo", *SMALL, "--reset", env=environment)
    finally:
        relay.terminate()
        relay.wait()
    assert done.returncode == 1
    assert "somebody already takes messages" in done.stderr


def test_a_demo_empties_only_a_directory_of_its_own(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    done = run("demo", *SMALL, "--directory", tmp_path, env=environment)
    assert done.returncode == 1
    assert "holds more than a demo leaves" in done.stderr
    assert (tmp_path / "thesis.txt").exists()


def test_a_fleet_that_has_the_name_of_a_demos_is_somebodys(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    with Store(tmp_path / "own" / "fleet", seed=1, clients=1, now=datetime.now(UTC)) as store:
        name = store.store_id
    done = run("demo", *SMALL, "--directory", tmp_path / "own", env=environment)
    assert done.returncode == 1
    assert "no demo left its mark there" in done.stderr
    with open_store(tmp_path / "own" / "fleet") as left:
        assert left.store_id == name


def test_a_demos_mark_on_the_database_says_nothing_of_another_broker(
    run: Run, environment: dict[str, str], database_url: str, amqp_url: str
) -> None:
    # As an earlier demo leaves it, on a broker that is not this one.
    empty(database_url, reply_queue=reply_queue(uuid4()).name)
    leaves_a_foreign_report(run, environment, amqp_url)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_stopped_leaves_no_worker_behind(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "statesys", "demo", "--clients", "3000", "--cycles", "20"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "home" / "demo" / "loader.log"
    wait_until(lambda: log.exists() and log.read_text(), timeout=30, what="the loader to work")
    workers = _children(process.pid)
    assert len(workers) == 2
    process.send_signal(number)
    if number == signal.SIGHUP:
        # Kernel and shell both tell that a terminal was closed.
        process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "verified" not in stdout
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert "loader.stopped" in log.read_text()


def test_a_worker_that_dies_is_told_with_its_last_words(
    environment: dict[str, str], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "statesys", "demo", "--clients", "3000", "--cycles", "20"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "home" / "demo" / "loader.log"
    wait_until(lambda: log.exists() and log.read_text(), timeout=30, what="the loader to work")
    for pid in _children(process.pid):
        if b"loader" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "the loader ended with -9; its last lines:" in stderr
    # Nothing more was published for nobody: the heartbeats come after the last cycle.
    assert "heartbeats" not in stderr


def _children(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(pid) for pid in tasks.read_text().split()]
