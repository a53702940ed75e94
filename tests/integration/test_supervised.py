"""Workers under a service manager: what it hears from them while they start, work, wait, hang."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.manager import Manager
from tests.support.outages import close_database, open_database
from tests.support.processes import PATIENCE, Program, batch, fill
from tests.support.waiting import wait_until
from tests.support.world import message, open_tables, report

#: Seconds; short, so that a test sees a watchdog that is not fed.
WATCHDOG = 2.0
pytestmark = pytest.mark.timeout(300)

Start = Callable[..., Program]


class Heard:
    """All that a manager was told so far."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._lines: list[dict[str, str]] = []

    def count(self, **lines: str) -> int:
        """How often it was told these lines."""
        self._lines += self._manager.told()
        return sum(lines.items() <= told.items() for told in self._lines)

    def wait(self, *, words: str = "", times: int = 1, **lines: str) -> None:
        """Wait until it was told these lines so often, or a status with these words."""

        def heard() -> bool:
            enough = self.count(**lines) >= times
            return enough and any(words in told.get("STATUS", "") for told in self._lines)

        wait_until(heard, timeout=PATIENCE, what=f"{lines} {words} ({self._lines[-3:]})")


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    with Manager(tmp_path / "notify") as manager:
        for name, value in manager.environment(watchdog=WATCHDOG).items():
            monkeypatch.setenv(name, value)
        yield Heard(manager)


@pytest.fixture
def start(tmp_path: Path, amqp_url: str, database_url: str) -> Start:
    def started(*command: str) -> Program:
        return Program(
            tmp_path / "log",
            *command,
            amqp_url=amqp_url,
            database_url=database_url,
            home=tmp_path,
        )

    return started


@pytest.mark.parametrize("role", ["relay", "loader"])
def test_a_worker_is_ready_when_it_consumes_and_says_when_it_stops(
    start: Start, heard: Heard, role: str
) -> None:
    with start(role, "run") as worker:
        heard.wait(READY="1")
        assert worker.events(f"{role}.consuming"), "READY came before it consumed"
        heard.wait(WATCHDOG="1", times=3)
        assert not heard.count(STOPPING="1")
        worker.send(signal.SIGTERM)
        heard.wait(STOPPING="1")
        assert worker.end() == 0
    assert heard.count(READY="1") == 1


def test_the_viewer_is_ready_when_it_answers(start: Start, heard: Heard) -> None:
    with start("web", "--listen", "127.0.0.1:0") as viewer:
        heard.wait(READY="1")
        viewer.send(signal.SIGTERM)
        heard.wait(STOPPING="1")
        assert viewer.end() == 0


def test_a_worker_that_cannot_start_is_never_ready(start: Start, heard: Heard) -> None:
    with start("relay", "run", "--batch-size", "0") as worker:
        assert worker.end() == 2
    assert not heard.count(READY="1")


def test_a_loader_that_is_stuck_gives_no_sign_of_life_until_it_goes_on(
    start: Start, heard: Heard, amqp_url: str, database_url: str
) -> None:
    with psycopg.connect(database_url) as other, start("loader", "run", "--threads", "1"):
        heard.wait(READY="1")
        other.execute("LOCK TABLE statesys.client IN ACCESS EXCLUSIVE MODE")
        fill(amqp_url, [batch(report(message(1)))])
        heard.wait(words="no progress for")
        fed = heard.count(WATCHDOG="1")
        heard.wait(words="no progress for 6 s")
        assert heard.count(WATCHDOG="1") == fed
        other.rollback()
        heard.wait(WATCHDOG="1", times=fed + 2)
    with open_tables(database_url) as tables:
        assert tables.rows("SELECT count(*) FROM state_message") == [(1,)]


def test_a_loader_that_waits_for_its_database_says_so_and_lives(
    start: Start, heard: Heard, amqp_url: str, database_url: str
) -> None:
    with start("loader", "run") as loader:
        heard.wait(READY="1")
        close_database(database_url)
        try:
            fill(amqp_url, [batch(report(message(1)))])
            heard.wait(words="waiting: ")
            # Longer than a stuck worker would live.
            heard.wait(WATCHDOG="1", times=heard.count(WATCHDOG="1") + 5)
        finally:
            open_database(database_url)
        heard.wait(STATUS="consuming", times=2)
        assert loader.process.poll() is None
