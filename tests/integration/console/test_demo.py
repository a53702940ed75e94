"""`statesys demo`: the whole job, with real workers on servers of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from producers.store import Store, StoreReader
from runtime import devserver
from runtime.broker import Administration
from runtime.devserver import Endpoints
from schemas.topology import DEAD, INCOMING, REPORTS
from tests.integration.console.conftest import Run
from tests.support import commands
from tests.support.waiting import wait_until

SMALL = ("--clients", "40", "--cycles", "2", "--messages", "3")
FAULTS = ("--loss", "0.1", "--duplicate", "0.1", "--reorder", "0.1", "--corrupt", "0.1")
LONG = ("--clients", "3000", "--cycles", "20")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for all, so that the demo's servers start once."""
    home = tmp_path_factory.mktemp("home")
    yield home
    devserver.down(home / "demo", purge=True)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return commands.bare_environment(home)


def site_of_the_demo(home: Path) -> Endpoints:
    found = devserver.running(home / "demo")
    assert found is not None
    return found


def counted(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_a_demo_is_verified_and_its_counts_are_those_of_the_database(
    run: Run, environment: dict[str, str], home: Path
) -> None:
    done = run("demo", *SMALL, *FAULTS, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("verified: ")
    found = {name: int(number) for name, number in re.findall(r"([a-z]+) (\d+)", last)}
    assert found["forwarded"] > found["loaded"] > 40 * 6
    site = site_of_the_demo(home)
    history = "SELECT count(*) FROM statesys.state_message"
    assert found["loaded"] == counted(site.database_url, history)
    duplicates = "SELECT sum(duplicates) FROM statesys.client"
    assert found["duplicates"] == counted(site.database_url, duplicates) > 0
    ranges = "SELECT count(*) FROM statesys.missing_message_range"
    assert found["opened"] == counted(site.database_url, ranges) > 0
    assert found["closed"] == found["opened"]
    requests = "SELECT count(*) FROM statesys.resync_request"
    assert found["requested"] == counted(site.database_url, requests) > 0
    with Administration(site.amqp_url, name="test") as admin:
        depth = admin.depth(DEAD)
        assert depth is not None
        assert found["refused"] == depth.ready > 0
        for queue in (REPORTS, *INCOMING.values()):
            left = admin.depth(queue)
            assert left is not None
            assert (left.ready, left.consumers) == (0, 0)
    assert "stopped" in (home / "demo" / "loader.log").read_text()

    # It says how to read its results, and how to stop its servers.
    place = home / "demo"
    assert f"STATESYS_HOME={place} statesys status" in done.stderr
    assert f"stop its servers: statesys down --home {place}\n" in done.stderr
    last = f"see it in a browser: STATESYS_HOME={place} statesys web\n"
    assert done.stderr.endswith(last)
    there = {**environment, "STATESYS_HOME": str(place)}
    verified = run("verify", "--fleet", place / "fleet", env=there)
    assert verified.returncode == 0
    status = run("status", "--json", env=there)
    assert json.loads(status.stdout)["database"]["totals"]["clients"] == 40

    # Another demo on the same servers starts with empty tables.
    again = run("demo", *SMALL, *FAULTS, "--json", "--reset", env=environment)
    assert again.returncode == 0, again.stderr
    assert "--reset does nothing any more" in again.stderr
    repeated = json.loads(again.stdout)
    assert repeated["verified"]
    assert repeated["clients"] == counted(site.database_url, "SELECT count(*) FROM statesys.client")
    assert repeated["loaded"] == counted(site.database_url, history)
    with Administration(site.amqp_url, name="test") as admin:
        depth = admin.depth(DEAD)
        assert depth is not None
        assert depth.ready == repeated["refused"]


def test_a_demo_leaves_other_servers_and_their_data_alone(
    run: Run, environment: dict[str, str], database_url: str, amqp_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO statesys.client (client_id) VALUES (gen_random_uuid())")
    urls = {"STATESYS_AMQP_URL": amqp_url, "STATESYS_DATABASE_URL": database_url}
    done = run("demo", *SMALL, env={**environment, **urls})
    assert done.returncode == 0
    assert "STATESYS_AMQP_URL and STATESYS_DATABASE_URL are not used" in done.stderr
    assert counted(database_url, "SELECT count(*) FROM statesys.client") == 1
    with Administration(amqp_url, name="test") as admin:
        assert admin.depth(REPORTS) is None


def test_a_demo_empties_only_a_directory_of_its_own(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    with Store(tmp_path / "own" / "fleet", seed=1, clients=1, now=datetime.now(UTC)) as store:
        name = store.store_id
    done = run("demo", *SMALL, "--directory", tmp_path / "own", env=environment)
    assert done.returncode == 1
    assert "no demo has left its mark there" in done.stderr
    with StoreReader(tmp_path / "own" / "fleet") as left:
        assert left.store_id == name
    assert [entry.name for entry in (tmp_path / "own").iterdir()] == ["fleet"]


def test_of_two_demos_in_one_directory_the_second_is_refused(
    run: Run, environment: dict[str, str], home: Path
) -> None:
    with working(environment, home) as first:
        done = run("demo", *SMALL, env=environment)
        assert done.returncode == 1
        assert f"process {first.pid}" in done.stderr
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_stopped_leaves_no_worker_behind(
    environment: dict[str, str], home: Path, number: signal.Signals
) -> None:
    with working(environment, home) as process:
        workers = _children(process.pid)
        assert len(workers) == 2
        process.send_signal(number)
        if number == signal.SIGHUP:
            # Kernel and shell both send a signal when a terminal is closed.
            process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "verified" not in stdout
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert "loader.stopped" in (home / "demo" / "loader.log").read_text()


def test_a_worker_that_dies_is_told_with_its_last_words(
    environment: dict[str, str], home: Path
) -> None:
    with working(environment, home) as process:
        for pid in _children(process.pid):
            if b"loader" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        _, stderr = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "the loader ended with -9; its last lines:" in stderr
    # The demo stopped publishing: the heartbeats come only after the last cycle.
    assert "heartbeats" not in stderr


def working(environment: Mapping[str, str], home: Path) -> "subprocess.Popen[str]":
    """A long demo whose loader has begun."""
    log = home / "demo" / "loader.log"
    log.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "statesys", "demo", *LONG],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: log.exists() and log.read_text(), timeout=60, what="the loader to work")
    return process


def _children(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(pid) for pid in tasks.read_text().split()]
