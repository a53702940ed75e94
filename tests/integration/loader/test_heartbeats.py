"""Heartbeats of relays and loaders on the real broker, and the table they become."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from console.queries import Queries
from console.queries.workers import WorkerRow, WorkerTotals
from loader.heartbeats import HeartbeatTask
from loader.store.workers import WorkerStore
from runtime.broker import Administration, persistent
from runtime.settings import load_settings
from runtime.workers import HeartbeatFile
from runtime.workers.reporting import Reporter
from schemas.topology import QUEUES, WORKERS
from schemas.workers import Role, WorkerHeartbeat, render_heartbeat
from tests.support.heartbeats import beat
from tests.support.processes import ready
from tests.support.world import Tables

Site = Callable[[], tuple[list[WorkerRow], dict[str, WorkerTotals]]]


@pytest.fixture
def store(database_url: str) -> Iterator[WorkerStore]:
    made = WorkerStore(database_url, name="test")
    yield made
    made.close()


@pytest.fixture
def site(database_url: str) -> Site:
    """The workers, and the sums by role, as `status` reads them."""

    def look() -> tuple[list[WorkerRow], dict[str, WorkerTotals]]:
        with Queries.open(database_url, name="test") as queries:
            totals = {totals.role: totals for totals in queries.worker_totals()}
            return queries.workers(), totals

    return look


@pytest.fixture
def make_task(amqp_url: str, database_url: str, tmp_path: Path) -> Callable[[], HeartbeatTask]:
    """Heartbeat tasks of several loaders of one site."""
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)

    def make() -> HeartbeatTask:
        settings = load_settings(home=tmp_path, amqp_url=amqp_url, database_url=database_url)
        file = HeartbeatFile(tmp_path, "loader")
        return HeartbeatTask(
            lambda: WorkerStore(database_url, name="test"),
            amqp_url,
            reporter=Reporter(Role.LOADER, settings, file),
            heartbeat=file,
        )

    return make


def publish(amqp_url: str, *bodies: bytes) -> None:
    with Administration(amqp_url, name="test") as admin:
        for body in bodies:
            admin.publish(routing_key=WORKERS, body=body, properties=persistent())


# -- what the table keeps ------------------------------------------------------------------------


def test_the_newest_heartbeat_counts_and_tells_the_rate(store: WorkerStore, site: Site) -> None:
    worker = uuid4()
    store.fold([beat(worker, 10, reports=100, messages=400, batches=2)])
    store.fold([beat(worker, 20, reports=160, messages=500, batches=3)])
    (row,), totals = site()
    assert (row.reports, row.messages, row.batches) == (160, 500, 3)
    assert (row.reports_per_second, row.messages_per_second) == (6.0, 10.0)
    assert (row.role, row.host, row.pid, row.late) == ("relay", "host-1", 17, False)
    assert totals["relay"][:4] == ("relay", 1, 160, 3)


def test_a_heartbeat_that_comes_again_or_late_changes_nothing(
    store: WorkerStore, site: Site
) -> None:
    worker = uuid4()
    first, last = beat(worker, 10, messages=4), beat(worker, 20, messages=9, ended=True)
    store.fold([first, last])
    _, before = site()
    for again in ([first], [last], [last, first], [first, first]):
        store.fold(again)
    rows, after = site()
    assert rows == [], "it has ended, and stays so"
    assert after == before
    assert after["relay"].messages == 9


def test_counters_never_fall(store: WorkerStore, site: Site) -> None:
    worker = uuid4()
    store.fold([beat(worker, 10, messages=9)])
    store.fold([beat(worker, 20, messages=4)])
    (row,), totals = site()
    assert row.messages == totals["relay"].messages == 9


def test_a_worker_that_starts_again_is_another_one_and_the_sum_grows(
    store: WorkerStore, site: Site
) -> None:
    store.fold([beat(uuid4(), 50, messages=70, ended=True)])
    store.fold([beat(uuid4(), 1, messages=5)])
    rows, totals = site()
    assert [row.messages for row in rows] == [5]
    assert (totals["relay"].workers, totals["relay"].messages) == (2, 75)


def test_workers_of_last_week_leave_their_counters(
    store: WorkerStore, site: Site, tables: Tables
) -> None:
    huge = 2**63 - 1
    store.fold([beat(uuid4(), 50, messages=huge, ended=True), beat(uuid4(), 50, messages=huge)])
    store.fold([beat(uuid4(), 9, role=Role.LOADER, chunks=3)])
    _, before = site()
    assert before["relay"].messages == 2 * huge
    for _ in range(2):
        tables.connection.execute(
            "UPDATE worker SET seen_at = now() - interval '8 days' WHERE role = 'relay'"
        )
        store.retire()
        rows, after = site()
        assert after == before
        assert [row.role for row in rows] == ["loader"]
    assert tables.rows("SELECT count(*) FROM worker") == [(1,)]
    # Further ones are added to the row of the role.
    store.fold([beat(uuid4(), 50, messages=1)])
    tables.connection.execute(
        "UPDATE worker SET seen_at = now() - interval '8 days' WHERE role = 'relay'"
    )
    store.retire()
    assert site()[1]["relay"].messages == 2 * huge + 1
    assert site()[1]["relay"].workers == 3


def finer(database_url: str) -> dict[tuple[str, str], int]:
    """The finer counts of the site, by role and name."""
    with Queries.open(database_url, name="test") as queries:
        return {(one.role, one.name): one.value for one in queries.worker_counts()}


def test_finer_counts_never_fall_and_outlive_their_worker(
    store: WorkerStore, database_url: str, tables: Tables
) -> None:
    huge = 2**63 - 1
    one, two = uuid4(), uuid4()
    store.fold([beat(one, 10, counts={"refused.bad_date": 5, "old": 1})])
    # Another name, and a number that fell: each keeps its largest.
    store.fold([beat(one, 20, counts={"refused.bad_date": 3, "news": huge}, ended=True)])
    store.fold([beat(two, 5, counts={"refused.bad_date": 2, "news": huge})])
    store.fold([beat(uuid4(), 5, role=Role.LOADER, counts={"loaded.new": 4})])
    expected = {
        ("relay", "refused.bad_date"): 7,
        ("relay", "old"): 1,
        ("relay", "news"): 2 * huge,
        ("loader", "loaded.new"): 4,
    }
    assert finer(database_url) == expected
    for _ in range(2):
        tables.connection.execute("UPDATE worker SET seen_at = now() - interval '8 days'")
        store.retire()
        assert finer(database_url) == expected
    assert tables.rows("SELECT count(*) FROM worker") == [(0,)]
    store.fold([beat(uuid4(), 1, counts={"old": 1})])
    tables.connection.execute("UPDATE worker SET seen_at = now() - interval '8 days'")
    store.retire()
    assert finer(database_url) == expected | {("relay", "old"): 2}


def test_heartbeats_that_come_in_any_order_have_the_largest_counts(
    store: WorkerStore, database_url: str
) -> None:
    worker = uuid4()
    store.fold([beat(worker, 20, counts={"a": 1, "b": 4}), beat(worker, 10, counts={"a": 3})])
    assert finer(database_url) == {("relay", "a"): 3, ("relay", "b"): 4}


def test_a_loader_of_the_time_before_keeps_the_finer_counts(
    store: WorkerStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = uuid4()
    store.fold([beat(worker, 10, messages=1, counts={"a": 1})])
    with monkeypatch.context() as before:
        for new in (", counts)", ", %(counts)s::jsonb)"):
            _edit(before, new, ")")
        _edit(before, ",\n    counts = larger_counts(w.counts, excluded.counts)", "")
        store.fold([beat(worker, 20, messages=5, counts={"a": 5})])
        assert finer(database_url) == {("relay", "a"): 1}
    store.fold([beat(worker, 30, messages=6, counts={"a": 6})])
    assert finer(database_url) == {("relay", "a"): 6}


def _edit(before: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Change the statement that stores a heartbeat."""
    text = WorkerStore._sql["fold"]
    assert old in text
    before.setattr(WorkerStore, "_sql", {**WorkerStore._sql, "fold": text.replace(old, new)})


def test_a_worker_that_is_not_seen_for_a_minute_is_late_and_for_a_day_is_gone(
    store: WorkerStore, site: Site, tables: Tables
) -> None:
    store.fold([beat(uuid4(), 10)])
    for age, expected in (("50 s", [False]), ("70 s", [True]), ("25 h", [])):
        tables.connection.execute("UPDATE worker SET seen_at = now() - %s::interval", [age])
        rows, _ = site()
        assert [row.late for row in rows] == expected


def test_two_loaders_store_the_same_heartbeats_at_once(database_url: str, site: Site) -> None:
    workers = [uuid4() for _ in range(50)]
    beats = [beat(worker, n, messages=n) for n in range(1, 20) for worker in workers]

    def fold(found: list[WorkerHeartbeat]) -> None:
        store = WorkerStore(database_url, name="test")
        for at in range(0, len(found), 40):
            store.fold(found[at : at + 40])
        store.close()

    threads = [threading.Thread(target=fold, args=[each]) for each in (beats, beats[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    rows, totals = site()
    assert {row.worker_id for row in rows} == set(workers)
    assert totals["relay"].messages == 19 * len(workers)


# -- the queue -----------------------------------------------------------------------------------


def test_a_loader_stores_its_own_heartbeat_and_those_of_others(
    amqp_url: str, make_task: Callable[[], HeartbeatTask], site: Site
) -> None:
    publish(amqp_url, render_heartbeat(beat(uuid4(), 5, messages=3)))
    one, other = make_task(), make_task()
    one.run()
    other.run()
    rows, totals = site()
    assert [row.role for row in rows] == ["relay", "loader", "loader"]
    assert rows[1].settings["loader_chunk_size"] == "256"
    assert not any("url" in name or "home" in name for name in rows[1].settings)
    assert ready(amqp_url, WORKERS) == 0
    one.end()
    rows, totals = site()
    assert [row.role for row in rows] == ["relay", "loader"]
    assert totals["loader"].workers == 2


CHANGES: tuple[dict[str, Any], ...] = (
    {"worker_id": "x"},
    {"worker_id": None},
    {"role": "operator"},
    {"role": ["relay"]},
    {"host": "a\x00b"},
    {"host": "\x1b[31mred"},
    {"host": "\ud800"},
    {"host": "x" * 300},
    {"pid": 2**31},
    {"pid": True},
    {"started_at": "yesterday"},
    {"started_at": "2026-03-02T08:00:00"},
    {"started_at": "9999-12-31T23:59:59+00:00"},
    {"uptime": float("nan")},
    {"uptime": float("inf")},
    {"uptime": -1},
    {"settings": "text"},
    {"settings": {"a": 1}},
    {"settings": {"A B": "x"}},
    {"settings": {"a": "\x00"}},
    {"settings": {f"s{n}": "x" for n in range(300)}},
    {"counters": []},
    {"counters": {"messages": 2**63}},
    {"counters": {"messages": -1}},
    {"counters": {"messages": 1.5}},
    {"counters": None},
    {"version": {}},
    {"more": "x" * 70_000},
)
HOSTILE = (
    *(b"", b"\x00\xff\xfe", b"null", b"[]", b"{}", b'"text"', b"7", b"[" * 100_000),
    b'{"worker_id": ' + b"9" * 50_000 + b"}",
    *(
        json.dumps(
            json.loads(render_heartbeat(beat(UUID(int=1), 5, settings={"a": "b"}))) | change
        ).encode()
        for change in CHANGES
    ),
)


def test_hostile_bytes_are_dropped_and_hide_no_heartbeat(
    amqp_url: str, make_task: Callable[[], HeartbeatTask], site: Site
) -> None:
    good = [render_heartbeat(beat(uuid4(), 5, messages=1)) for _ in range(3)]
    publish(amqp_url, good[0], *HOSTILE[:15], good[1], *HOSTILE[15:], good[2])
    make_task().run()
    rows, totals = site()
    assert [row.role for row in rows] == ["relay"] * 3 + ["loader"]
    assert totals["relay"].messages == 3
    assert ready(amqp_url, WORKERS) == 0


def test_what_a_newer_worker_tells_is_stored_without_what_is_not_known(
    amqp_url: str, make_task: Callable[[], HeartbeatTask], site: Site
) -> None:
    found = json.loads(render_heartbeat(beat(uuid4(), 5, messages=1, settings={"new": "1"})))
    found["counters"]["news"] = 7
    found["more"] = {"a": [1]}
    publish(amqp_url, json.dumps(found).encode())
    make_task().run()
    rows, _ = site()
    assert (rows[0].messages, rows[0].settings) == (1, {"new": "1"})


def test_a_queue_that_is_purged_or_gone_costs_heartbeats_and_nothing_else(
    amqp_url: str, make_task: Callable[[], HeartbeatTask], site: Site
) -> None:
    task = make_task()
    task.run()
    with Administration(amqp_url, name="test") as admin:
        admin.purge(WORKERS)
        task.run()
        (before,), _ = site()
        admin._channel.queue_delete(WORKERS)
        task.run()
        admin.declare(QUEUES)
        task.run()
    (after,), _ = site()
    assert after.worker_id == before.worker_id
    assert after.seen_at > before.seen_at


def test_the_queue_keeps_the_newest_heartbeats_when_nobody_reads_it(amqp_url: str) -> None:
    with Administration(amqp_url, name="test") as admin:
        (workers,) = (queue for queue in QUEUES if queue.name == WORKERS)
        few = workers._replace(arguments={**workers.arguments, "x-max-length": 5})
        admin.declare([few])
        for number in range(12):
            admin.publish(routing_key=WORKERS, body=str(number).encode(), properties=persistent())
        found = []
        while (delivery := admin.take(WORKERS)) is not None:
            found.append(int(delivery.body))
    assert found == [7, 8, 9, 10, 11]
