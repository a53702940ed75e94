"""`statesys log show`, and the logs that commands write for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.cmtrace import LogReader
from tests.integration.console.conftest import Run
from tests.support import commands
from tests.support.paths import DATA
from tests.support.waiting import wait_until

LOG = DATA / "statemessage.log"


def test_a_clients_log_is_shown(run: Run, tmp_path: Path) -> None:
    env = commands.bare_environment(tmp_path)
    done = run("log", "show", LOG, "--utc", env=env)
    assert done.returncode == 0, done.stderr
    assert (
        "2011-01-07 18:40:31.099+00:00  StateMessage 3592  "
        "Successfully forwarded State Messages to the MP" in done.stdout
    )
    documents = run("log", "show", LOG, "--json", env=env).stdout.splitlines()
    assert [json.loads(one)["damaged"] for one in documents] == [True, False, False, True]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_log_of_any_encoding_is_shown(run: Run, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "any.log"
    path.write_text('<![LOG[Größe]LOG]!><time="1:2:3.4+0" date="1-2-2020" type="2">\n', encoding)
    env = commands.bare_environment(tmp_path)
    assert "Größe" in run("log", "show", path, "--level", "warning", env=env).stdout
    assert not run("log", "show", path, "--level", "error", env=env).stdout


def test_a_log_that_is_no_file_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    done = run("log", "show", tmp_path, env=commands.bare_environment(tmp_path))
    assert done.returncode == 2
    assert "directory" in done.stderr


def test_a_log_is_followed_over_its_replacement(tmp_path: Path) -> None:
    path, out = tmp_path / "statesys.log", tmp_path / "out"
    line = '<![LOG[{}]LOG]!><time="1:2:3.4+0" date="1-2-2020" component="" type="1" thread="1">\n'
    path.write_text(line.format("one"))
    with out.open("w") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "statesys", "log", "show", str(path), "--follow"],
            stdout=stdout,
            env={**commands.bare_environment(tmp_path), "PYTHONUNBUFFERED": "1"},
        )
    try:
        wait_until(lambda: "one" in out.read_text(), what="the first line")
        with path.open("a") as log:
            log.write(line.format("two"))
        wait_until(lambda: "two" in out.read_text(), what="the second line")
        path.replace(path.with_suffix(".lo_"))
        path.write_text(line.format("three"))
        wait_until(lambda: "three" in out.read_text(), what="the line of the new file")
        assert out.read_text().count("one") == 1
    finally:
        process.terminate()
        process.wait()


def test_a_relay_writes_its_own_file_as_cmtrace_reads_it(tmp_path: Path, amqp_url: str) -> None:
    env = {
        **commands.bare_environment(tmp_path),
        "STATESYS_AMQP_URL": amqp_url,
        "STATESYS_LOG_FORMAT": "cmtrace",
        "STATESYS_LOG_FILE": str(tmp_path),
    }
    done = commands.run("relay", "run", "--exit-when-empty", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    reader = LogReader()
    lines = [*reader.feed((tmp_path / "mp_relay.log").read_text()), *reader.end()]
    assert any(line.text.startswith("relay.consuming") for line in lines)
    assert all(line.component == "MP_Relay" and not line.damaged for line in lines)
    assert all(line.thread and line.file.startswith("service.py:") for line in lines)
