"""A log that cannot be written stops no work: every process, with every kind of unwritable log."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from runtime.settings import environment
from runtime.workers import read_heartbeats
from schemas.report import Lane
from schemas.topology import DEAD, INCOMING, REPORTS
from tests.support import commands
from tests.support.processes import batch, fill, ready
from tests.support.relays import World, good
from tests.support.waiting import wait_until
from tests.support.world import message, open_tables, report

#: Seconds for work or end; well below the 50 after which a worker is ended by force.
PATIENCE = 30


@contextmanager
def disk_full() -> Iterator[int]:
    """Every write fails."""
    with Path("/dev/full").open("wb") as full:
        yield full.fileno()


@contextmanager
def reader_ended() -> Iterator[int]:
    """A pipe whose reader has closed it."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def reader_waits() -> Iterator[int]:
    """A pipe that is full, and whose reader does not read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"." * 65536)
    os.set_blocking(writer, True)
    yield writer
    os.close(writer)
    os.close(reader)


@contextmanager
def closed() -> Iterator[None]:
    """No descriptor at all."""
    yield None


@pytest.fixture(params=[disk_full, reader_ended, reader_waits, closed])
def log(request: pytest.FixtureRequest) -> Iterator[int | None]:
    """A stderr that cannot be written; None if it is closed."""
    with request.param() as descriptor:
        yield descriptor


@contextmanager
def statesys(
    log: int | None, *arguments: str, **settings: str | Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A command with this log."""
    command = [sys.executable, "-m", "statesys", *arguments]
    if log is None:
        command = ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=log, env=environment(**settings)
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _stops(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def _is_healthy_with_a_note(role: str, home: Path) -> None:
    def told() -> bool:
        return any(heartbeat["unwritten"] for heartbeat in read_heartbeats(home, role))

    wait_until(told, what="a note in the pulse")
    health = commands.run("health", role, env=environment(home=home))
    assert health.returncode == 0, health
    assert "healthy; cannot write its log" in health.stdout


def test_a_relay_relays_and_stops_without_a_log(
    amqp_url: str, tmp_path: Path, log: int | None
) -> None:
    world = World(amqp_url)
    world.publish(good(5))
    with statesys(log, "relay", "run", home=tmp_path, amqp_url=amqp_url) as relay:
        wait_until(lambda: world.ready(INCOMING[Lane.NORMAL]) > 0, timeout=PATIENCE, what="a batch")
        _is_healthy_with_a_note("relay", tmp_path)
        _stops(relay)
    assert world.ready(REPORTS) == 0


def test_a_loader_loads_and_stops_without_a_log(
    amqp_url: str, database_url: str, tmp_path: Path, log: int | None
) -> None:
    fill(amqp_url, [*(batch(report(message(n))) for n in range(1, 6)), b"no batch"])
    urls = {"amqp_url": amqp_url, "database_url": database_url}
    with (
        open_tables(database_url) as tables,
        statesys(log, "loader", "run", home=tmp_path, **urls) as loader,
    ):
        wait_until(
            lambda: tables.rows("SELECT count(*) FROM state_message") == [(5,)],
            timeout=PATIENCE,
            what="five messages",
        )
        wait_until(lambda: ready(amqp_url, DEAD) == 1, timeout=PATIENCE, what="a letter")
        _is_healthy_with_a_note("loader", tmp_path)
        _stops(loader)
    assert read_heartbeats(tmp_path, "loader") == []


def test_a_fleet_lives_publishes_and_stops_without_a_log(
    amqp_url: str, tmp_path: Path, log: int | None
) -> None:
    world = World(amqp_url)
    fleet = ("--fleet", str(tmp_path / "fleet"), "--clients", "5")
    settings: dict[str, str | Path] = {"home": tmp_path, "amqp_url": amqp_url}
    with statesys(log, "producers", "publish", *fleet, "--cycles", "1", **settings) as publish:
        assert publish.wait(PATIENCE) == 0
    before = world.ready(REPORTS)
    assert before > 0
    with statesys(log, "producers", "run", *fleet, forward_interval="1s", **settings) as run:
        wait_until(lambda: world.ready(REPORTS) > before, timeout=PATIENCE, what="reports")
        _stops(run)
