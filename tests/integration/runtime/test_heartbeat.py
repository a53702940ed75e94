"""`statesys health` reports the true condition of a worker."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from runtime.settings import environment
from runtime.workers import HeartbeatFile, judge, read_heartbeats
from tests.support.commands import run
from tests.support.waiting import wait_until

RELAY = [sys.executable, "-m", "statesys", "relay", "run"]
NOW = 1_000_000.0
HEALTHY: dict[str, object] = {
    "pid": 1,
    "written": NOW,
    "progress": NOW,
    "held": 5,
    "blocked": None,
    "troubles": {},
}


def _problem(**changes: object) -> str | None:
    return judge({**HEALTHY, **changes}, now=NOW, interval=60).problem


def test_a_note_is_no_problem(tmp_path: Path) -> None:
    heartbeat = HeartbeatFile(tmp_path, "relay")
    heartbeat.note("topology not verified")
    heartbeat.beat(held=0, now=True)
    done = run("health", "relay", env=environment(home=tmp_path))
    assert done.returncode == 0
    assert done.stdout.endswith(": healthy; topology not verified\n")
    heartbeat.note(None)
    heartbeat.beat(held=0, now=True)
    assert [
        judge(p, now=p["written"], interval=60).note for p in read_heartbeats(tmp_path, "relay")
    ] == [None]


def test_a_worker_that_makes_progress_is_healthy() -> None:
    assert _problem() is None


def test_a_worker_with_nothing_in_hand_need_not_make_progress() -> None:
    assert _problem(held=0, progress=NOW - 9999) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"written": NOW - 100}, "hangs"),
        ({"progress": NOW - 61}, "no progress for 61 s"),
        ({"blocked": "low on disk"}, "low on disk"),
        ({"troubles": {"loader-1": "PostgreSQL: connection refused"}}, "connection refused"),
    ],
)
def test_every_trouble_says_what_it_is(changes: dict[str, object], words: str) -> None:
    assert words in str(_problem(**changes))


def test_trouble_ends_with_progress_of_the_same_thread_only(tmp_path: Path) -> None:
    heartbeat = HeartbeatFile(tmp_path, "loader")
    heartbeat.trouble("loader-1", "away")
    heartbeat.progress("loader-2")
    heartbeat.beat(held=1, now=True)
    assert read_heartbeats(tmp_path, "loader")[0]["troubles"] == {"loader-1": "away"}
    heartbeat.progress("loader-1")
    heartbeat.beat(held=1, now=True)
    assert read_heartbeats(tmp_path, "loader")[0]["troubles"] == {}


def test_a_stopped_worker_leaves_no_pulse_and_a_dead_one_is_not_believed(tmp_path: Path) -> None:
    heartbeat = HeartbeatFile(tmp_path, "relay")
    heartbeat.beat(held=0, now=True)
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    (file,) = (tmp_path / "run").iterdir()
    file.with_name(f"relay-{dead}.json").write_text(
        file.read_text().replace(f'"pid": {os.getpid()}', f'"pid": {dead}')
    )
    assert [p["pid"] for p in read_heartbeats(tmp_path, "relay")] == [os.getpid()]
    heartbeat.end()
    assert read_heartbeats(tmp_path, "relay") == []


def test_a_pid_that_another_program_has_by_now_is_no_worker(tmp_path: Path) -> None:
    HeartbeatFile(tmp_path, "loader").beat(held=0, now=True)
    (file,) = (tmp_path / "run").iterdir()
    words = json.loads(file.read_text())
    words["process"]["started"] -= 1
    file.write_text(json.dumps(words))
    assert read_heartbeats(tmp_path, "loader") == []
    assert not file.exists()


@pytest.mark.parametrize("elsewhere", ["boot", "namespace"])
def test_a_worker_of_another_container_or_machine_is_neither_judged_nor_removed(
    tmp_path: Path, elsewhere: str
) -> None:
    for _ in range(2):
        # Both have the same pid, as the first process of every container does.
        HeartbeatFile(tmp_path, "loader").beat(held=0, now=True)
    theirs, _ = (tmp_path / "run").iterdir()
    words = json.loads(theirs.read_text())
    where = words["process"] if elsewhere == "boot" else words
    where[elsewhere] = "another"
    theirs.write_text(json.dumps(words))
    (ours,) = read_heartbeats(tmp_path, "loader")
    assert ours["pid"] == os.getpid()
    assert theirs.exists()
    os.utime(theirs, (0, 0))
    assert len(read_heartbeats(tmp_path, "loader")) == 1
    assert not theirs.exists()


def test_the_pulse_goes_on_and_tells_the_truth_when_the_clock_is_set_back(
    tmp_path: Path, amqp_url: str
) -> None:
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    env = {
        **environment(amqp_url=amqp_url, home=tmp_path),
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }

    def told(moment: datetime) -> bool:
        """Whether a heartbeat was written about then, by the worker's own clock."""
        return any(
            abs(datetime.fromisoformat(heartbeat["at"]) - moment) < timedelta(minutes=10)
            for heartbeat in read_heartbeats(tmp_path, "relay")
        )

    with subprocess.Popen(RELAY, env=env) as relay:
        try:
            for offset in ("+0h", "-1h", "+240h"):
                clock.write_text(offset)
                now = datetime.now(UTC) + timedelta(hours=int(offset[:-1]))
                wait_until(partial(told, now), timeout=60, what=f"a pulse at {offset}")
                assert "healthy" in run("health", "relay", env=env).stdout
            relay.send_signal(signal.SIGSTOP)
            clock.write_text("-1h")
            (heartbeat,) = read_heartbeats(tmp_path, "relay")
            assert "hangs" in str(judge(heartbeat, now=time.monotonic() + 20, interval=60).problem)
        finally:
            relay.kill()


def test_a_relay_that_is_stopped_by_a_signal_is_seen_to_hang(tmp_path: Path, amqp_url: str) -> None:
    env = environment(amqp_url=amqp_url, home=tmp_path)
    relay = subprocess.Popen(RELAY, env=env)
    try:

        def healthy() -> bool:
            return run("health", "relay", env=env).returncode == 0

        wait_until(healthy, timeout=60, what="the relay is healthy")
        relay.send_signal(signal.SIGSTOP)
        (heartbeat,) = read_heartbeats(tmp_path, "relay")
        assert "hangs" in str(judge(heartbeat, now=time.monotonic() + 20, interval=60).problem)
        relay.send_signal(signal.SIGCONT)
        relay.terminate()
        assert relay.wait(60) == 0
        assert not healthy()
    finally:
        relay.kill()
        relay.wait()


def test_a_home_that_cannot_hold_files_does_not_stop_a_worker() -> None:
    heartbeat = HeartbeatFile(Path(os.devnull), "loader")
    heartbeat.beat(held=0)
    heartbeat.end()
    assert read_heartbeats(Path(os.devnull), "loader") == []


@pytest.mark.parametrize("stdout", [">/dev/full", ">&-", "| :"])
def test_the_answer_is_the_exit_code_wherever_the_words_go(tmp_path: Path, stdout: str) -> None:
    environment = {**os.environ, "STATESYS_HOME": str(tmp_path)}

    def code() -> int:
        told = tmp_path / "code"
        command = f"({sys.executable} -m statesys health relay; echo $? >{told}) {stdout}"
        subprocess.run(["/bin/sh", "-c", command], env=environment, check=True)
        return int(told.read_text())

    heartbeat = HeartbeatFile(tmp_path, "relay")
    heartbeat.beat(held=0, now=True)
    assert code() == 0
    heartbeat.trouble("relay", "the broker is away")
    heartbeat.beat(held=0, now=True)
    assert code() == 1
