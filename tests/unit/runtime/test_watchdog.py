"""What a worker tells its service manager, heard on a real socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.workers.notify import tell_manager, watchdog_limit
from runtime.workers.watchdog import Watchdog
from tests.support.manager import Manager

NOW = 1_000_000.0
#: Seconds.
LIMIT = 60.0
CALM: dict[str, Any] = {"progress": NOW, "held": 0, "blocked": None, "troubles": {}}
STUCK = CALM | {"held": 3, "progress": NOW - LIMIT - 1}


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    with Manager(tmp_path / "notify") as manager:
        for name, value in manager.environment(watchdog=LIMIT).items():
            monkeypatch.setenv(name, value)
        yield manager


def test_it_is_ready_when_it_consumes_and_its_start_may_take_until_then(manager: Manager) -> None:
    watchdog = Watchdog()
    watchdog.hear(CALM, ready=False, now=NOW)
    watchdog.hear(CALM, ready=True, now=NOW + 1)
    assert manager.told() == [
        {"STATUS": "starting", "EXTEND_TIMEOUT_USEC": "60000000"},
        {"STATUS": "consuming", "READY": "1", "WATCHDOG": "1"},
    ]


def test_a_worker_that_stops_says_so_and_lives(manager: Manager) -> None:
    watchdog = Watchdog()
    watchdog.hear(CALM, ready=True, now=NOW)
    watchdog.hear(CALM, ready=True, stopping=True, now=NOW + 1)
    assert manager.told()[1:] == [{"STATUS": "stopping", "WATCHDOG": "1"}]


def test_signs_of_life_come_four_times_before_the_limit(manager: Manager) -> None:
    watchdog = Watchdog()
    for second in range(61):
        watchdog.hear(CALM, ready=True, now=NOW + second)
    assert [told["WATCHDOG"] for told in manager.told()] == ["1"] * 5


def test_a_stuck_worker_says_so_and_gives_no_sign_of_life(manager: Manager) -> None:
    watchdog = Watchdog()
    watchdog.hear(CALM, ready=True, now=NOW)
    watchdog.hear(STUCK, ready=True, now=NOW + LIMIT)
    (_, told) = manager.told()
    assert told == {"STATUS": "holds 3 deliveries, no progress for 121 s"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"troubles": {"loader-1": "no database"}}, "waiting: loader-1 waits: no database"),
        ({"blocked": "low on disk"}, "waiting: the broker blocks publishing: low on disk"),
    ],
)
def test_a_worker_that_waits_for_a_server_says_for_what_and_lives(
    manager: Manager, change: dict[str, Any], words: str
) -> None:
    Watchdog().hear(STUCK | change, ready=True, now=NOW)
    assert manager.told() == [{"STATUS": words, "READY": "1", "WATCHDOG": "1"}]


def test_words_of_a_server_stay_in_their_line(manager: Manager) -> None:
    trouble = {"troubles": {"relay": "away\nMAINPID=1\r\x1b[31m\u2028" + "x" * 100_000}}
    Watchdog().hear(CALM | trouble, ready=True, now=NOW)
    (told,) = manager.told()
    assert set(told) == {"STATUS", "READY", "WATCHDOG"}
    assert len(told["STATUS"]) <= 400


def test_a_manager_that_does_not_read_holds_nobody_up_and_hears_of_the_start_later(
    manager: Manager,
) -> None:
    while tell_manager(STATUS="full"):
        pass
    watchdog = Watchdog()
    watchdog.hear(CALM, ready=True, now=NOW)
    assert all(told == {"STATUS": "full"} for told in manager.told())
    watchdog.hear(CALM, ready=True, now=NOW + 1)
    assert [told["READY"] for told in manager.told()] == ["1"]


@pytest.mark.parametrize(
    "address", ["", "relative", "/nowhere/at/all", "/" + "x" * 200, "vsock:2:1", "@", "\0"]
)
def test_without_a_manager_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"NOTIFY_SOCKET": address})
    assert not tell_manager(READY="1")


def test_an_address_may_be_abstract(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = f"statesys-test-{os.getpid()}"
        listening.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert tell_manager(READY="1")
        assert listening.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    ("usec", "meant_for", "limit"),
    [
        ("3000000", None, 3.0),
        ("3000000", "this process", 3.0),
        ("3000000", "its parent", None),
        ("0", None, None),
        ("", None, None),
        ("-5", None, None),
        ("٣", None, None),
        ("soon", None, None),
        ("9" * 5000, None, None),
    ],
)
def test_the_limit_is_ours_only_if_it_is_a_number_and_meant_for_us(
    monkeypatch: pytest.MonkeyPatch, usec: str, meant_for: str | None, limit: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if meant_for is not None:
        pid = {"this process": os.getpid(), "its parent": os.getppid()}[meant_for]
        monkeypatch.setenv("WATCHDOG_PID", str(pid))
    assert watchdog_limit() == limit


def test_without_a_limit_the_manager_hears_of_changes_only(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC")
    watchdog = Watchdog()
    for second in range(200):
        watchdog.hear(STUCK, ready=second > 0, now=NOW + second)
    assert manager.told() == [{"STATUS": "starting"}, {"STATUS": "consuming", "READY": "1"}]
