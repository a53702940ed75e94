"""Commands that only read may use a standby, and say how old what they show is."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from console.queries import Queries
from console.queries.query_session import Freshness
from loader.migrations import migrate
from schemas.errors import DatabaseUnavailable
from tests.support import commands
from tests.support.nodes import Node, Pair, pair
from tests.support.viewers import viewing
from tests.support.waiting import wait_until
from tests.support.world import CLIENT, chunk_store, load, message, open_tables, report

TOLD = "from a standby, as of "


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with pair() as found:
        migrate(found.url)
        yield found


@pytest.fixture(autouse=True)
def standby(servers: Pair) -> Node:
    """The standby, with one state of one client."""
    with open_tables(servers.url) as tables:
        tables.truncate()
    states(servers, "first")
    return servers.standby


def states(servers: Pair, *topics: str) -> None:
    """Load a state of each topic; wait until the standby has received it."""
    store = chunk_store(servers.url)
    for topic in topics:
        serial = 1 if topic == "first" else 2
        load(store, report(message(serial, topic=topic)))
    store.close()
    ((lsn,),) = servers.primary.execute("SELECT pg_current_wal_flush_lsn()")
    received = f"SELECT pg_last_wal_receive_lsn() >= '{lsn}'"
    wait_until(lambda: servers.standby.execute(received) == [(True,)], what="what was loaded")


def replayed(node: Node) -> bool:
    query = "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"
    return node.execute(query) == [(True,)]


def environment(servers: Pair, home: Path) -> dict[str, str]:
    """The URLs of both."""
    return {
        **commands.bare_environment(home),
        "STATESYS_DATABASE_URL": servers.url,
        "STATESYS_DATABASE_READ_URL": servers.standby.url(servers.plain_url),
    }


def run(servers: Pair, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that has the URLs of both."""
    return commands.run(*arguments, env=environment(servers, home))


def test_a_standby_that_has_everything_is_as_new_as_its_clock(
    servers: Pair, standby: Node, tmp_path: Path
) -> None:
    wait_until(lambda: replayed(standby), what="the replay")
    done = run(servers, tmp_path, "states", str(CLIENT))
    assert done.returncode == 0, done.stderr
    assert "first" in done.stdout
    assert TOLD in done.stderr
    assert "(0.00 s old)" in done.stderr


def test_a_standby_that_lags_tells_the_moment_that_it_shows(
    servers: Pair, standby: Node, tmp_path: Path
) -> None:
    wait_until(lambda: replayed(standby), what="the replay")
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        states(servers, "second")
        done = run(servers, tmp_path, "states", str(CLIENT))
        ((last,),) = standby.execute("SELECT pg_last_xact_replay_timestamp()")
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")
    assert "second" not in done.stdout
    assert f"{TOLD}{last:%Y-%m-%d %H:%M:%S} UTC" in done.stderr
    wait_until(lambda: replayed(standby), what="the replay")
    assert "second" in run(servers, tmp_path, "states", str(CLIENT)).stdout


def test_a_standby_that_receives_nothing_does_not_claim_to_be_new() -> None:
    with pair() as cut:
        migrate(cut.url)
        cut.primary.kill()
        gone = "SELECT 1 FROM pg_stat_wal_receiver"
        wait_until(lambda: not cut.standby.execute(gone), what="the receiver's end")
        assert replayed(cut.standby)
        with Queries.open(cut.standby.url(cut.plain_url), name="test") as queries:
            first = queries.freshness()
            assert first.standby
            wait_until(lambda: queries.freshness().now > first.now, what="another moment")
            assert queries.freshness().as_of == first.as_of == queries.now()
            assert first.as_of < first.now


def test_actions_use_the_server_that_is_written_to(
    servers: Pair, standby: Node, tmp_path: Path
) -> None:
    wait_until(lambda: replayed(standby), what="the replay")
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        done = run(servers, tmp_path, "collections", "create", "All", "version >= '0'")
        assert done.returncode == 0, done.stderr
        assert "All" not in run(servers, tmp_path, "collections", "list").stdout
        done = run(servers, tmp_path, "collections", "delete", "All", "--yes")
        assert done.returncode == 0, done.stderr
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")


def test_what_a_standby_ends_for_the_primary_is_told_as_that(servers: Pair, standby: Node) -> None:
    standby.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()")

    def conflict() -> None:
        with (
            Queries.open(standby.url(servers.plain_url), name="test") as queries,
            queries.snapshot(),
        ):
            queries.states(CLIENT)
            servers.primary.execute(
                f"UPDATE statesys.client SET name = '{uuid4()}'",
                "VACUUM statesys.client",
                name="statesys",
            )
            wait_until(lambda: queries.states(CLIENT) == [], what="the conflict")

    with pytest.raises(DatabaseUnavailable, match="hot_standby_feedback"):
        conflict()


def test_a_url_may_prefer_the_standby_and_do_without(servers: Pair) -> None:
    both = servers.url.replace("read-write", "prefer-standby")
    alone = f"{servers.primary.url(servers.plain_url)}?target_session_attrs=prefer-standby"
    found = []
    for url in (both, alone):
        with Queries.open(url, name="test") as queries:
            found.append(queries.freshness().standby)
    assert found == [True, False]


def test_an_error_of_the_standby_names_its_variable(tmp_path: Path, servers: Pair) -> None:
    env = environment(servers, tmp_path)
    env["STATESYS_DATABASE_READ_URL"] = "postgresql://x:y@127.0.0.1:1/x"
    done = commands.run("gaps", env=env)
    assert done.returncode == 4
    assert "STATESYS_DATABASE_READ_URL" in done.stderr


def test_a_page_of_a_standby_that_lags_tells_its_moment(
    servers: Pair, standby: Node, tmp_path: Path, amqp_url: str
) -> None:
    wait_until(lambda: replayed(standby), what="the replay")
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        states(servers, "second")
        env = {**environment(servers, tmp_path), "STATESYS_AMQP_URL": amqp_url}
        with viewing(env) as viewer:
            page = viewer.get(f"/clients/{CLIENT}")
        ((last,),) = standby.execute("SELECT pg_last_xact_replay_timestamp()")
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")
    assert page.status == 200
    assert f"{last:%Y-%m-%d %H:%M:%S}" in page.text.rpartition("<footer>")[2]


def test_a_role_without_special_rights_may_read_the_standby(servers: Pair, standby: Node) -> None:
    servers.primary.execute(
        "DROP ROLE IF EXISTS plain", "CREATE ROLE plain LOGIN IN ROLE pg_read_all_data"
    )
    url = standby.url(servers.plain_url).replace("//statesys:statesys@", "//plain@")

    def found() -> Freshness | None:
        try:
            with Queries.open(url, name="test") as queries:
                return queries.freshness()
        except DatabaseUnavailable:
            # The role has not arrived.
            return None

    wait_until(
        lambda: (one := found()) is not None and one.standby and one.as_of == one.now,
        what="a standby that has everything",
    )
