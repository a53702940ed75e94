"""Loaders as processes: stopped, killed, several at a time, always ending in the same tables."""

import random
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest

from loader.service import Loader
from loader.starting import settings_at_site
from runtime.broker import Administration
from runtime.broker.dead_letters import QUEUE, REASON, STAGE
from runtime.settings import load_settings
from runtime.workers import read_heartbeats
from runtime.workers.signals import Stop
from schemas.report import Report
from schemas.report_writer import render_report
from schemas.topology import DEAD, INCOMING, REPORTS
from schemas.workers import Role
from tests.support.heartbeats import await_next_file
from tests.support.management import Management
from tests.support.outages import close_database
from tests.support.processes import (
    NORMAL,
    PATIENCE,
    Program,
    batch,
    batches_of,
    drain,
    fill,
    fleet_reports,
    loading,
    make_loader,
    messages_in,
    ready,
    take_all,
)
from tests.support.waiting import wait_until
from tests.support.world import Tables, message, report


class Run:
    """Starts processes on one broker and one database."""

    def __init__(self, log: Path, amqp_url: str, database_url: str) -> None:
        self.log = log
        self._urls = {"amqp_url": amqp_url, "database_url": database_url}

    def loader(self, *flags: str, **settings: Path) -> Program:
        return Program(self.log, "loader", "run", *flags, **self._urls, **settings)

    def relay(self, *flags: str) -> Program:
        return Program(self.log, "relay", "run", *flags, **self._urls)


@pytest.fixture
def run(tmp_path: Path, amqp_url: str, database_url: str) -> Run:
    return Run(tmp_path / "log", amqp_url, database_url)


def stored(tables: Tables) -> int:
    ((count,),) = tables.rows("SELECT count(*) FROM state_message")
    return int(count)


def await_stored(tables: Tables, count: int) -> None:
    wait_until(lambda: stored(tables) >= count, timeout=PATIENCE, what=f"{count} messages")


def assert_complete(tables: Tables, reports: Sequence[Report]) -> None:
    """Everything sent is stored once, and the ledger has every serial that was not sent."""
    law = tables.law()
    assert {(client, serial) for client, serial, _ in law["history"]} == messages_in(reports)
    assert law["stored twice"] == []
    assert tables.ledger_errors() == []


def test_it_ends_when_nothing_is_left(amqp_url: str, run: Run, tables: Tables) -> None:
    reports = fleet_reports(clients=3, messages=100, seed=1)
    fill(amqp_url, batches_of(reports))
    with run.loader("--exit-when-empty") as loader:
        assert loader.end() == 0
    assert_complete(tables, reports)
    assert ready(amqp_url) == ready(amqp_url, DEAD) == 0


def test_sigterm_finishes_the_chunk_in_hand(
    amqp_url: str, run: Run, tables: Tables, held_lock: psycopg.Connection[Any]
) -> None:
    fill(amqp_url, [batch(report(message(serial))) for serial in range(1, 101)])
    with run.loader("--threads", "1", "--chunk-size", "4") as loader:
        wait_until(tables.chunk_waits, timeout=PATIENCE, what="a chunk to be in hand")
        loader.send(signal.SIGTERM)
        loader.await_event("loader.stopping")
        held_lock.rollback()
        assert loader.end() == 0
        (chunk,) = loader.events("loader.chunk_loaded")
    assert stored(tables) == chunk["messages"] > 0
    assert ready(amqp_url) == 100 - chunk["messages"], "the rest went back to the broker"


def test_a_loader_that_finishes_a_chunk_before_its_end_gives_signs_of_life(
    amqp_url: str,
    run: Run,
    tmp_path: Path,
    tables: Tables,
    held_lock: psycopg.Connection[Any],
) -> None:
    fill(amqp_url, [batch(report(message(1)))])
    with run.loader(home=tmp_path) as loader:
        wait_until(tables.chunk_waits, timeout=PATIENCE, what="a chunk to be in hand")
        loader.send(signal.SIGTERM)
        loader.await_event("loader.stopping")
        await_next_file(tmp_path, Role.LOADER)
        held_lock.rollback()
        assert loader.end() == 0


def test_a_start_that_waits_for_a_server_gives_signs_of_life(
    amqp_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[float] = []

    def written(_url: str, *, name: str) -> None:
        del name
        seen.extend(read_heartbeats(tmp_path, "loader"))

    seen: list[dict[str, Any]] = []
    # Each beat is written, as it is when a second has passed since the last one.
    monkeypatch.setattr("runtime.workers.heartbeat._EVERY", 0.0)
    monkeypatch.setattr(
        "loader.service.make_partitions", lambda _: moments.append(time.monotonic())
    )
    monkeypatch.setattr("loader.service.require_write", written)
    stop = threading.Event()
    stop.set()
    settings = load_settings(home=tmp_path, amqp_url=amqp_url, database_url=database_url)
    Loader(settings_at_site(settings), stop).run()
    (heartbeat,) = seen
    assert [heartbeat["written"] > moment for moment in moments] == [True]


def test_a_second_sigterm_stops_at_once(
    amqp_url: str, run: Run, tables: Tables, held_lock: psycopg.Connection[Any]
) -> None:
    fill(amqp_url, [batch(report(message(1)))])
    with run.loader() as loader:
        wait_until(tables.chunk_waits, timeout=PATIENCE, what="a chunk to be in hand")
        loader.send(signal.SIGTERM)
        loader.await_event("loader.stopping")
        loader.send(signal.SIGTERM)
        assert loader.end() == 128 + signal.SIGTERM
    held_lock.rollback()
    wait_until(lambda: ready(amqp_url) == 1, what="the batch to be back")


def test_a_thread_that_hangs_in_the_database_does_not_keep_the_process(
    amqp_url: str,
    database_url: str,
    tables: Tables,
    held_lock: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loader.service._FINISH_TIMEOUT", 0.2)
    fill(amqp_url, [batch(report(message(1)))])
    with loading(amqp_url, database_url):
        wait_until(tables.chunk_waits, what="a chunk to be in hand")
    hanging = [t for t in threading.enumerate() if t.name.startswith("loader-")]
    assert len(hanging) == 1
    assert all(thread.daemon for thread in hanging)
    wait_until(lambda: ready(amqp_url) == 1, what="the batch to be back")
    held_lock.rollback()
    hanging[0].join(10)


def test_tasks_that_hang_delay_the_end_by_one_timeout_together(
    amqp_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Barrier(5)
    release = threading.Event()

    def hang(*_args: object, **_kwargs: object) -> None:
        began.wait()
        release.wait()

    monkeypatch.setattr("loader.service._TASKS_TIMEOUT", 4.0)
    # Totals are two tasks.
    for act in ("keep_partitions", "keep_totals", "evaluate_collections"):
        monkeypatch.setattr(f"loader.service.{act}", hang)
    try:
        with loading(amqp_url, database_url):
            began.wait(PATIENCE)
            stopped = time.monotonic()
        # As much for each of the four tasks would be more, on a crowded machine too.
        assert time.monotonic() - stopped < 16.0
    finally:
        release.set()


def test_a_batch_of_several_chunks_is_acked_after_the_last_one(
    amqp_url: str,
    database_url: str,
    tables: Tables,
    held_lock: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loader.service._FINISH_TIMEOUT", 0.2)
    large = message(1)._replace(details="x" * 2000)
    fill(amqp_url, [batch(report(large, client=UUID(int=1, version=4)), report(large))])
    with loading(amqp_url, database_url, loader_threads=1, loader_chunk_size=1):
        wait_until(tables.chunk_waits, what="the second chunk to be in hand")
        assert stored(tables) == 1
    # At its end the loader acks all settled deliveries.
    wait_until(lambda: ready(amqp_url) == 1, what="the batch to be back")
    held_lock.rollback()
    for thread in threading.enumerate():
        if thread.name.startswith("loader-"):
            thread.join(10)


def test_two_relays_and_two_loaders_share_the_work(amqp_url: str, run: Run, tables: Tables) -> None:
    reports = fleet_reports(clients=10, messages=300, seed=3)
    fill(amqp_url, [render_report(one) for one in reports], queue=REPORTS)
    with run.relay() as first, run.relay() as second, run.loader() as third, run.loader() as fourth:
        await_stored(tables, len(messages_in(reports)))
        programs = (first, second, third, fourth)
        for program, stage in zip(programs, ("relay", "relay", "loader", "loader"), strict=True):
            # All four are at work, including the one that started last.
            program.await_event(f"{stage}.consuming")
            program.send(signal.SIGTERM)
        assert [program.end() for program in programs] == [0, 0, 0, 0]
    assert_complete(tables, reports)
    assert ready(amqp_url, DEAD) == ready(amqp_url, REPORTS) == 0


def test_threads_chunks_and_order_do_not_matter(
    amqp_url: str, database_url: str, tables: Tables
) -> None:
    bodies = batches_of(fleet_reports(clients=10, messages=300, seed=4))
    random.Random(5).shuffle(bodies)
    fill(amqp_url, bodies)
    drain(amqp_url, database_url, loader_threads=1, loader_chunk_size=1)
    one_by_one = tables.law()
    tables.truncate()
    fill(amqp_url, bodies[::-1])
    drain(amqp_url, database_url, loader_threads=8, loader_chunk_size=4096)
    assert tables.law() == one_by_one
    assert one_by_one["history"]


def test_junk_is_buried_unchanged_and_stops_nothing(
    amqp_url: str, database_url: str, tables: Tables
) -> None:
    junk = [b"", b"\x00\xff junk", b"<Batch>", b"<Batch ID='1'/>", b"<!DOCTYPE x><Batch/>"]
    fill(amqp_url, [junk[0], batch(report(message(1))), *junk[1:], batch(report(message(2)))])
    drain(amqp_url, database_url)
    letters = take_all(amqp_url, DEAD)
    assert sorted(letter.body for letter in letters) == sorted(junk)
    headers = [letter.properties.headers or {} for letter in letters]
    assert {(h[STAGE], h[QUEUE]) for h in headers} == {("loader", NORMAL)}
    assert {h[REASON] for h in headers} == {"not_well_formed", "bad_structure", "doctype"}
    assert stored(tables) == 2


def test_a_database_without_tables_ends_it_with_advice(run: Run, tables: Tables) -> None:
    tables.connection.execute("DROP SCHEMA statesys CASCADE")
    with run.loader() as loader:
        assert loader.end() == 1
        assert "statesys loader migrate" in loader.text
        assert "Traceback" not in loader.text


def test_a_stop_before_the_start_ends_it_in_order(amqp_url: str, database_url: str) -> None:
    fill(amqp_url, [batch(report(message(1)))])
    stop = threading.Event()
    stop.set()
    make_loader(amqp_url, database_url, stop).run()
    assert ready(amqp_url) == 1


@pytest.mark.parametrize(
    ("away", "nobody", "code"),
    [
        ("amqp_url", "amqp://u:p@127.0.0.1:1/", 3),
        ("database_url", "postgresql://u:p@127.0.0.1:1/d", 4),
    ],
)
def test_a_server_that_cannot_be_reached_at_the_start_is_told_at_once(
    away: str, nobody: str, code: int, tmp_path: Path, amqp_url: str, database_url: str
) -> None:
    urls = {"amqp_url": amqp_url, "database_url": database_url} | {away: nobody}
    with Program(tmp_path / "log", "loader", "run", **urls) as loader:
        assert loader.end() == code
        assert "statesys up" in loader.text
        assert "Traceback" not in loader.text


@pytest.mark.parametrize("away", ["broker", "database"])
def test_a_stop_while_a_server_is_away_ends_it_in_order(
    away: str, run: Run, amqp_url: str, database_url: str, management: Management
) -> None:
    vhost = urlsplit(amqp_url).path[1:]
    with run.loader() as loader:
        loader.await_event("loader.consuming")
        if away == "broker":
            # Wait until the loader consumes. While it still fetches, a virtual host whose
            # permissions are already gone would refuse it, and it does not wait after a refusal.
            wait_until(lambda: all_consumed(amqp_url), what="a consumer of each queue")
            management.delete_vhost(vhost)
        else:
            close_database(database_url)
            fill(amqp_url, [batch(report(message(1)))])
        loader.await_event("worker.waiting")
        loader.send(signal.SIGTERM)
        assert loader.end() == 0
        assert "Traceback" not in loader.text
    if away == "broker":
        management.create_vhost(vhost)
    else:
        assert ready(amqp_url) == 1, "what was in hand went back to the broker"


def all_consumed(amqp_url: str) -> bool:
    """Whether every work queue has a consumer."""
    with Administration(amqp_url, name="test") as admin:
        depths = [admin.depth(queue) for queue in INCOMING.values()]
    return all(depth is not None and depth.consumers for depth in depths)


def test_a_signal_that_interrupts_a_wait_does_not_lock_up() -> None:
    stop = Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop.install()
        # The worst moment for a signal: while `wait` holds the event's own lock.
        with stop._cond:
            signal.raise_signal(signal.SIGTERM)
        assert stop.wait(1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.alarm(0)


def test_clients_do_not_disturb_each_other(
    amqp_url: str, database_url: str, tables: Tables
) -> None:
    """Chunks with many clients each, by many threads: locks are taken in one order."""
    clients = [UUID(int=number, version=4) for number in range(1, 31)]
    rng = random.Random(6)
    reports = []
    for serial in range(1, 41):
        rng.shuffle(clients)
        reports.append([report(message(serial), client=client) for client in clients])
    fill(amqp_url, [batch(*together) for together in reports])
    drain(amqp_url, database_url, loader_threads=8, loader_chunk_size=1)
    assert_complete(tables, [one for together in reports for one in together])
