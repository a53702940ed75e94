"""`statesys bench`: a tiny job of each kind; tests check the form of the result, not the speed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from lab.bench.answers import QUESTIONS
from lab.bench.drop import Drop, Stall, disturbance
from lab.bench.job import Job, Shape, WorkerSettings, combinations
from lab.bench.reports import reports, written
from lab.bench.workers import Event, EventLog
from runtime import devserver
from runtime.devserver import registry
from runtime.workers import read_heartbeats
from schemas import xml
from schemas.canonical import find_report
from schemas.report import MAX_REPORT_BYTES
from schemas.report_reader import parse_report
from schemas.report_writer import render_report
from tests.support import commands
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

SIZE = ("--reports", "60", "--messages", "3", "--clients", "20")
REPORTS, MESSAGES = 60, 180

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for all tests, so that the servers start once; at the end they are stopped."""
    home = tmp_path_factory.mktemp("home")
    yield home
    devserver.down(home / "bench", purge=True)


@pytest.fixture
def bench(home: Path) -> Bench:
    return partial(commands.run, "bench", env=commands.bare_environment(home), timeout=110)


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
        each = {name: us for name, us in run["cpu_us_per_report"].items() if name != "sum"}
        assert set(each) == set(run["cpu_seconds"])
        assert run["cpu_us_per_report"]["sum"] == pytest.approx(sum(each.values()), abs=1)
        assert all(peak > 1024 * 1024 for peak in run["peak_bytes"].values())
    return list(found["runs"])


@pytest.mark.parametrize(
    ("kind", "processes", "shapes"),
    [
        ("relay", {"relay"}, list(Shape)),
        ("loader", {"loader"}, [Shape.FOREIGN]),
        ("drain", {"relay", "loader"}, [Shape.OTHER]),
    ],
)
def test_a_prefilled_job_is_carried_to_its_end(
    kind: str, processes: set[str], shapes: list[Shape], bench: Bench
) -> None:
    # Without a flag the result has all shapes, with the relay's counts of the paths taken.
    wanted = [] if shapes == list(Shape) else ["--shape", *shapes]
    found = runs(bench(kind, *SIZE, *wanted, "--keep", "--json"))
    for run in found:
        assert (run["kind"], run["reports"], run["messages"]) == (kind, REPORTS, MESSAGES)
        assert set(run["cpu_seconds"]) == {*processes, "broker", "database"}
        assert set(run["peak_bytes"]) == processes
        assert (run["queue_seconds"] is not None) == (kind == "drain")
        assert run["total_seconds"] is None
    assert [run["shape"] for run in found] == shapes
    ways = [(run["fast_path"], run["full_reader"]) for run in found]
    assert ways == [(0, REPORTS) if s is Shape.FOREIGN else (REPORTS, 0) for s in shapes]


def test_every_question_of_an_operator_is_timed(bench: Bench) -> None:
    size = ("--existing-clients", "300", "--existing-messages", "3600")
    found = json.loads(bench("answers", *size, "--runs", "1", "--keep", "--json").stdout)
    assert [one["question"] for one in found["answers"]] == list(QUESTIONS)
    assert all(0 < one["median"] <= one["longest"] for one in found["answers"])


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
    done = bench("loader", *SIZE, *sweep, "--shape", "foreign", "--keep")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    table = {name: cells for name, *cells in (re.split(r"  +", line) for line in lines)}
    assert table["shape of the reports"] == ["foreign", "foreign"]
    assert table["loader threads"] == ["1", "2"]
    assert table["chunk size, KiB"] == ["64", "64"]
    assert lines[-1].startswith("= ")
    assert lines[-1].endswith(" clients at 15 min")


def test_a_sweep_of_reports_tells_what_a_longer_drain_takes(bench: Bench) -> None:
    words = ("--sweep", "reports=30,60", "--shape", "canonical", "--keep", "--json")
    found = runs(bench("drain", *SIZE, *words))
    assert [(run["reports"], run["messages"]) for run in found] == [(30, 90), (60, 180)]


def test_more_processors_than_there_are_are_refused_before_anything_starts(
    bench: Bench, home: Path
) -> None:
    running = devserver.running(home / "bench")
    done = bench("drain", "--cores", str((os.cpu_count() or 1) + 1))
    assert done.returncode == 2
    assert "--cores" in done.stderr
    assert devserver.running(home / "bench") == running


def rows(home: Path, query: str) -> list[Any]:
    """What the last run left in its database."""
    found = devserver.running(home / "bench")
    assert found is not None
    options = "-c search_path=statesys -c timezone=UTC"
    with psycopg.connect(found.database_url, options=options) as connection:
        return connection.execute(query).fetchall()


def test_a_run_may_begin_with_tables_that_are_as_loaders_leave_them(
    bench: Bench, home: Path
) -> None:
    existing = ("--existing-clients", "101", "--existing-messages", "700", "--existing-days", "3")
    (run,) = runs(bench("loader", *SIZE, *existing, "--shape", "other", "--keep", "--json"))
    # Only whole reports, of three messages each.
    assert run["existing"] == {"clients": 101, "messages": 699, "days": 3}
    assert run["messages"] == MESSAGES
    # The job's clients are among the existing ones, and continue their serials.
    assert rows(home, "SELECT count(*), sum(duplicates), sum(reused) FROM client") == [(101, 0, 0)]
    days = rows(home, "SELECT count(*) FROM state_message GROUP BY loaded_at::date ORDER BY 1")
    assert days[:2] == [(231,), (234,)]
    assert sum(count for (count,) in days) == 699 + MESSAGES
    # The row of every client agrees with its history.
    ledger = """
        SELECT accounted, highest_serial, highest_report_date, last_seen, last_message_time,
            first_seen FROM client ORDER BY client_id"""
    history = """
        SELECT range_agg(int8range(serial, serial + 1)), max(serial), max(report_date),
            max(received_at), max(message_time), min(loaded_at)
        FROM state_message GROUP BY client_id ORDER BY client_id"""
    assert rows(home, ledger) == rows(home, history)
    current = """
        SELECT client_id, topic_type, topic_id, user_sid, id_type, state_id, criticality, serial,
            message_time, digest, params, details FROM current_state ORDER BY 1, 2, 3, 4"""
    latest = """
        SELECT DISTINCT ON (client_id, topic_type, topic_id, user_sid)
            client_id, topic_type, topic_id, user_sid, id_type, state_id, criticality, serial,
            message_time, digest, params, details
        FROM state_message ORDER BY 1, 2, 3, 4, serial DESC"""
    assert rows(home, current) == rows(home, latest)
    missing = "SELECT client_id, first_serial, last_serial FROM missing_message_range ORDER BY 1"
    gaps = """
        SELECT client_id, lower(gap), upper(gap) - 1 FROM client,
            unnest(int8multirange(int8range(1, highest_serial + 1)) - accounted) AS gap
        ORDER BY 1"""
    assert len(rows(home, missing)) == 2
    assert rows(home, missing) == rows(home, gaps)


def test_the_oldest_day_is_dropped_behind_a_reader_during_a_constant_rate(
    bench: Bench, home: Path
) -> None:
    load = ("--rate", "120", "--seconds", "3", "--messages", "3")
    existing = ("--existing-clients", "20", "--existing-messages", "120", "--existing-days", "2")
    (run,) = runs(bench("steady", *load, *existing, "--drop-partition", "--keep", "--json"))
    assert run["messages"] == 360
    drop = run["drop"]
    assert drop["partitions"]
    assert drop["tries"] >= 1
    assert drop["seconds"] >= drop["reader_seconds"] >= 1
    assert drop["warnings_and_errors"] == 0
    left = {name for (name,) in rows(home, "SELECT relname FROM pg_class WHERE relkind = 'r'")}
    assert left.isdisjoint(drop["partitions"])


def test_a_stall_is_what_reaches_into_the_drop() -> None:
    def chunk(at: float, seconds: float) -> Event:
        return Event("loader.chunk_loaded", at, 1, 0, seconds, trouble=False)

    drop = Drop(began=10.0, ended=20.0, read=8.0, tries=3, partitions=["state_message_20260101"])
    loader = [chunk(8.0, 0.5), chunk(9.0, 0.25), chunk(14.0, 4.5), chunk(21.0, 0.5)]
    relay = [Event("worker.waiting", 11.0, 0, 0, 0.0, trouble=True)]
    found = disturbance(drop, loader, relay)
    # The chunk that ended at 14 had begun before the drop, which delayed it. The gaps that ended
    # at 14 and at 21 overlap the drop, so they count too.
    assert found.before == Stall(gap=1.0, chunk=0.5)
    assert found.during == Stall(gap=7.0, chunk=4.5)
    assert (found.complete, found.troubles) == (True, 1)
    assert not disturbance(drop, loader[:3], relay).complete


@pytest.mark.parametrize(
    "words",
    [
        ("loader", "--existing-clients", "10", "--existing-messages", "39"),
        ("drain", "--existing-messages", "40"),
        ("drain", "--existing-clients", "1", "--existing-messages", "40", "--existing-days", "91"),
        ("steady", "--drop-partition"),
    ],
)
def test_an_earlier_life_that_cannot_be_is_refused_before_anything_starts(
    words: tuple[str, ...], bench: Bench, home: Path
) -> None:
    running = devserver.running(home / "bench")
    done = bench(*words)
    assert done.returncode == 2
    assert "--existing-" in done.stderr
    assert devserver.running(home / "bench") == running


def test_a_bench_that_is_ended_leaves_nothing_behind(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "statesys", "bench", "steady", "--rate", "5", "--seconds", "600"],
        env={**os.environ, "STATESYS_HOME": str(home)},
        stderr=subprocess.PIPE,
    ) as process:
        running = partial(read_heartbeats, home / "bench", "relay")
        wait_until(running, timeout=60, what="a relay at work")
        workers = psutil.Process(process.pid).children()
        process.terminate()
        assert process.wait(60) == 130
    assert not any(worker.is_running() for worker in workers)
    assert devserver.running(home / "bench") is None


def test_a_directory_that_has_the_name_of_the_benchs_is_somebodys(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "services.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-m", "statesys", "bench", "publish"],
        env={**os.environ, "STATESYS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "was not made by a bench" in done.stderr
    assert [file.name for file in (tmp_path / "bench").iterdir()] == ["services.json"]


def test_all_of_a_run_stays_on_the_processors_that_it_is_given(bench: Bench, home: Path) -> None:
    # The servers of earlier tests have all processors, so `bench` restarts them.
    (run,) = runs(bench("publish", *SIZE, "--cores", "1", "--keep", "--json"))
    assert run["cores"] == 1
    known = registry.load(home / "bench")
    assert known is not None
    for process in (known.brokers[0].process, known.postgres.process):
        assert process is not None
        assert len(os.sched_getaffinity(process.pid)) == 1


def test_servers_that_are_not_kept_are_gone(bench: Bench, home: Path) -> None:
    runs(bench("relay", *SIZE, "--shape", "canonical", "--cores", "1", "--json"))
    assert devserver.running(home / "bench") is None


def test_the_bare_pipe_and_the_standard_job_are_set_side_by_side(home: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "lab.bench.compare", "--no-write"),
            *("--reports", "40", "--repetitions", "1", "--cores", str(os.cpu_count())),
        ],
        env={**commands.bare_environment(home), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rates, ratios = found["messages_per_second"], found["ratio"]
    assert set(rates) == {*Shape, "bare pipe"}
    assert set(ratios) == set(Shape)
    for shape, ratio in ratios.items():
        assert ratio == pytest.approx(rates[shape] / rates["bare pipe"], rel=0.01, abs=0.01)
    for (run,) in found["runs"].values():
        assert (run["reports"], run["messages"]) == (40, 160)


def test_a_value_that_is_no_setting_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for words in ("threads=0", "threads=", "colour=red", "reports=0", "reports=many"):
        env = commands.bare_environment(tmp_path)
        done = commands.run("bench", "drain", "--sweep", words, env=env, timeout=110)
        assert done.returncode in (1, 2)
    assert not list(tmp_path.iterdir())


def test_a_sweep_may_name_all_in_one_text() -> None:
    sweeps = ["threads=1,2 chunk=64,128", "reports=10"]
    found = list(combinations(Job(reports=50), WorkerSettings(4, 256), sweeps, [Shape.CANONICAL]))
    assert [(c.threads, c.chunk_size) for _, c in found] == [(1, 64), (1, 128), (2, 64), (2, 128)]
    assert {job for job, _ in found} == {Job(reports=10)}


def test_the_reports_of_a_job_have_consecutive_serials_for_every_client() -> None:
    serials: dict[object, list[int]] = {}
    for report in reports(Job(reports=50, messages=4, clients=20)):
        assert len(report.messages) == 4
        serials.setdefault(report.client_id, []).extend(report.serials)
    assert len(serials) == 20
    assert all(found == list(range(1, len(found) + 1)) for found in serials.values())


@pytest.mark.parametrize("shape", Shape)
def test_reports_of_all_shapes_say_the_same_and_take_the_way_of_their_shape(shape: Shape) -> None:
    for report in reports(Job(reports=60, messages=5, clients=30)):
        body = written(report, shape)
        assert parse_report(body) == parse_report(render_report(report))
        text = xml.text(body)
        assert text is not None
        assert (find_report(text) is not None) == (shape is not Shape.FOREIGN)
        # The relay passes on the root element, and the loader reads it on the same path.
        root = xml.root_element(xml.utf8(body, max_bytes=MAX_REPORT_BYTES)).decode()
        assert (find_report(root) is not None) == (shape is not Shape.FOREIGN)


def test_a_log_that_grows_is_read_by_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    line = '{"event": "x", "messages": 3, "timestamp": "2026-01-01T00:00:00Z"}\n'
    path.write_text("not JSON\n" + line + line[:10])
    log = EventLog(path)
    assert [(event.name, event.messages) for event in log.read()] == [("x", 3)]
    with path.open("a") as more:
        more.write(line[10:])
    assert len(log.read()) == 2
