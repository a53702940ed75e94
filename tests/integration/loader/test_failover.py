"""A server that missed a promotion gets nothing from a loader."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loader.migrations import migrate
from loader.store.chunks import ChunkStore
from runtime.database.timelines import Timeline, Timelines
from schemas.errors import DatabaseUnavailable
from tests.support.nodes import Pair, pair
from tests.support.processes import PATIENCE, Program, batch, fill, ready
from tests.support.promises import promise
from tests.support.waiting import wait_until
from tests.support.world import chunk_store, load, message, open_tables, report


@pytest.fixture
def servers() -> Iterator[Pair]:
    with pair() as found:
        migrate(found.url)
        yield found


def test_an_old_primary_that_comes_back_gets_nothing(
    servers: Pair, amqp_url: str, tmp_path: Path
) -> None:
    fill(amqp_url, [batch(report(message(1)))])
    urls: dict[str, str | Path] = {
        "amqp_url": amqp_url,
        "database_url": servers.url,
        "home": tmp_path / "home",
    }
    command = ("loader", "run", "--threads", "1")
    with Program(tmp_path / "log", *command, **urls) as loader:
        loader.await_event("loader.chunk_loaded")
        servers.fail_over()
        fill(amqp_url, [batch(report(message(2)))])
        loader.await_event("database.timeline_seen", holding='"timeline": 2')
        wait_until(
            lambda: len(loader.events("loader.chunk_loaded")) == 2,
            timeout=PATIENCE,
            what="the second batch",
        )
        old = servers.standby
        servers.primary.kill()
        old.start()
        fill(amqp_url, [batch(report(message(3)))])
        loader.await_event("worker.waiting", holding="is on timeline 1, and timeline 2")
    with open_tables(old.url(servers.plain_url)) as tables:
        assert tables.rows("SELECT serial FROM state_message") == [(1,)]
    wait_until(lambda: ready(amqp_url) == 1, timeout=PATIENCE, what="the batch to be back")

    with Program(tmp_path / "again", *command, **urls) as loader:
        told = promise("loader run", "the server missed a promotion")
        assert loader.end() == told.code
        assert told.holds_in(loader.text)
    (kept,) = (tmp_path / "home" / "timelines").iterdir()
    kept.unlink()
    with Program(tmp_path / "restored", *command, "--exit-when-empty", **urls) as loader:
        assert loader.end() == 0
    assert kept.read_text(encoding="ascii") == "1\n"


def test_a_session_of_the_old_primary_is_closed_when_the_new_one_is_seen(
    servers: Pair, tmp_path: Path
) -> None:
    """Both take writes: nobody stopped the old one."""
    timelines = Timelines(tmp_path)
    old = chunk_store(servers.primary.url(servers.plain_url), timelines=timelines)
    load(old, report(message(1)))
    broken = [old.broken]

    servers.standby.promote()
    new = chunk_store(servers.standby.url(servers.plain_url), timelines=timelines)

    broken += [old.broken, new.broken]
    assert broken == [False, True, False]
    old.close()
    new.close()
    with pytest.raises(DatabaseUnavailable, match="timeline 1"):
        chunk_store(servers.primary.url(servers.plain_url), timelines=timelines)

    def found() -> ChunkStore | None:
        try:
            return chunk_store(f"{servers.url}&load_balance_hosts=random", timelines=timelines)
        except DatabaseUnavailable:
            return None

    store = wait_until(found, timeout=PATIENCE, what="the new primary")
    assert store is not None
    store.close()


def test_timelines_are_kept_for_each_cluster(tmp_path: Path) -> None:
    one = Timelines(tmp_path)
    one.require(Timeline(7, 3), "a:1")
    one.require(Timeline(8, 1), "b:1")

    another = Timelines(tmp_path)
    with pytest.raises(DatabaseUnavailable, match="timeline 3"):
        another.require(Timeline(7, 2), "a:1")
    another.require(Timeline(7, 12), "a:1")
    # What another process has seen counts at the next connection.
    with pytest.raises(DatabaseUnavailable, match="timeline 12"):
        one.require(Timeline(7, 3), "a:1")


@pytest.mark.parametrize("text", ["", "junk", "-5", "\xff"])
def test_a_damaged_file_is_written_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "7").write_text(text, encoding="latin-1")
    Timelines(tmp_path).require(Timeline(7, 2), "a:1")
    with pytest.raises(DatabaseUnavailable):
        Timelines(tmp_path).require(Timeline(7, 1), "a:1")


def test_a_directory_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    timelines = Timelines(tmp_path / "file")
    timelines.require(Timeline(7, 2), "a:1")
    with pytest.raises(DatabaseUnavailable):
        timelines.require(Timeline(7, 1), "a:1")
