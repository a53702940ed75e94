"""`statesys bench`: a tiny job of each kind, for the shape of its result; never for its speed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.bench.events import EventLog
from console.bench.job import Crew, Job
from console.bench.reports import reports
from console.bench.sweep import crews
from runtime import services

ROOT = Path(__file__).parent.parent.parent
SIZE = ("--reports", "60", "--messages", "3", "--clients", "20")
REPORTS, MESSAGES = 60, 180

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for all, so that the servers start once; a test that fails leaves none behind."""
    home = tmp_path_factory.mktemp("home")
    yield home
    services.down(home / "bench", purge=True)


@pytest.fixture
def bench(home: Path) -> Bench:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STATESYS_")}

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "statesys", "bench", *arguments],
            env={**kept, "STATESYS_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return call


def runs(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    # Progress is for terminals.
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["machine"]["cores"] == os.cpu_count()
    for run in found["runs"]:
        assert run["seconds"] > 0
        assert run["messages_per_second"] == pytest.approx(
            run["messages"] / run["seconds"], rel=0.05
        )
        assert run["clients_at_15_min"] == pytest.approx(run["reports_per_second"] * 900, rel=0.05)
        assert all(seconds >= 0 for seconds in run["cpu_seconds"].values())
        assert all(peak > 1024 * 1024 for peak in run["peak_bytes"].values())
    return list(found["runs"])


@pytest.mark.parametrize(
    ("kind", "processes"),
    [
        ("relay", {"relay"}),
        ("loader", {"loader"}),
        ("drain", {"relay", "loader"}),
    ],
)
def test_a_prefilled_job_is_carried_to_its_end(
    kind: str, processes: set[str], bench: Bench
) -> None:
    (run,) = runs(bench(kind, *SIZE, "--keep", "--json"))
    assert (run["kind"], run["reports"], run["messages"]) == (kind, REPORTS, MESSAGES)
    assert set(run["cpu_seconds"]) == {*processes, "broker", "database"}
    assert set(run["peak_bytes"]) == processes
    assert (run["queue_seconds"] is not None) == (kind == "drain")
    assert run["total_seconds"] is None


def test_a_constant_rate_tells_how_long_a_message_takes(bench: Bench) -> None:
    done = bench("steady", "--rate", "120", "--seconds", "1", "--messages", "3", "--keep", "--json")
    (run,) = runs(done)
    assert (run["reports"], run["messages"]) == (40, 120)
    queue, total = run["queue_seconds"], run["total_seconds"]
    assert 0 < queue["p50"] <= queue["p95"] <= queue["p99"] <= total["p99"]


def test_the_producers_are_measured_through_their_outbox(bench: Bench) -> None:
    (run,) = runs(bench("publish", *SIZE, "--keep", "--json"))
    assert run["reports"] > 0
    assert set(run["peak_bytes"]) == {"producers"}


def test_a_sweep_is_a_run_for_each_combination_and_a_person_sees_them_side_by_side(
    bench: Bench,
) -> None:
    sweep = ("--sweep", "threads=1,2", "--sweep", "chunk=64")
    done = bench("loader", *SIZE, *sweep, "--keep")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    table = {name: cells for name, *cells in (re.split(r"  +", line) for line in lines)}
    assert table["loader threads"] == ["1", "2"]
    assert table["chunk size, KiB"] == ["64", "64"]
    assert lines[-1].startswith("= ")
    assert lines[-1].endswith(" clients at 15 min")


def test_servers_that_are_not_kept_are_gone(bench: Bench, home: Path) -> None:
    runs(bench("relay", *SIZE, "--json"))
    assert services.running(home / "bench") is None


def test_the_bare_pipe_and_the_standard_job_are_set_side_by_side(home: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/compare.py", "--no-write"),
            *("--reports", "40", "--repetitions", "1"),
        ],
        env={**os.environ, "STATESYS_HOME": str(home), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ratio"] == pytest.approx(
        found["messages_per_second"] / found["bare_pipe_messages_per_second"], abs=0.01
    )


def test_a_value_that_is_no_setting_is_refused_before_anything_starts(
    bench: Bench, home: Path
) -> None:
    for words in ("threads=0", "threads=", "colour=red"):
        assert bench("drain", "--sweep", words).returncode in (1, 2)
    assert services.running(home / "bench") is None


def test_a_sweep_may_name_both_in_one_text() -> None:
    found = [(c.threads, c.chunk_size) for c in crews(Crew(4, 256), ["threads=1,2 chunk=64,128"])]
    assert found == [(1, 64), (1, 128), (2, 64), (2, 128)]


def test_the_reports_of_a_job_have_consecutive_serials_for_every_client() -> None:
    serials: dict[object, list[int]] = {}
    for report in reports(Job(reports=50, messages=4, clients=20)):
        assert len(report.messages) == 4
        serials.setdefault(report.client_id, []).extend(report.serials)
    assert len(serials) == 20
    assert all(found == list(range(1, len(found) + 1)) for found in serials.values())


def test_a_log_that_grows_is_read_by_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    line = '{"event": "x", "messages": 3, "timestamp": "2026-01-01T00:00:00Z"}\n'
    path.write_text("not JSON\n" + line + line[:10])
    log = EventLog(path)
    assert [(event.name, event.messages) for event in log.read()] == [("x", 3)]
    with path.open("a") as more:
        more.write(line[10:])
    assert len(log.read()) == 2
