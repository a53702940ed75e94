"""`statesys status --watch` as a process of its own, and what `status` says of the history."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.console.conftest import Run
from tests.support.processes import Program
from tests.support.waiting import wait_until
from tests.support.world import Tables, open_tables

HEADING = re.compile(r"^--- \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC ---$", re.MULTILINE)
CLEARED = b"\x1b[2J"
pytestmark = pytest.mark.timeout(120)


def watching(tmp_path: Path, environment: dict[str, str], *arguments: str) -> Program:
    urls = {
        "amqp_url": environment["STATESYS_AMQP_URL"],
        "database_url": environment["STATESYS_DATABASE_URL"],
    }
    return Program(tmp_path / "watched", "status", "--watch", *arguments, **urls)


def test_a_file_gets_one_status_after_the_other_until_sigint(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with watching(tmp_path, environment, "0.2") as program:
        wait_until(lambda: len(HEADING.findall(program.text)) >= 3, what="three looks")
        program.send(signal.SIGINT)
        assert program.end() == 0
    first, *others = HEADING.split(program.text)
    assert first == ""
    assert all("messages loaded" in look for look in others[:-1])
    assert "\x1b" not in program.text
    assert "Traceback" not in program.text


def test_json_documents_follow_each_other(tmp_path: Path, environment: dict[str, str]) -> None:
    with watching(tmp_path, environment, "0.2", "--json") as program:
        wait_until(lambda: len(documents(program.text)) >= 2, what="two documents")
        program.send(signal.SIGINT)
        assert program.end() == 0
    one, other = documents(program.text)[:2]
    assert one["at"] < other["at"]
    assert one["database"]["messages"] == 0


def documents(text: str) -> list[dict[str, Any]]:
    """The complete JSON documents in a text."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        try:
            one, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        found.append(one)
        at += 1
    return found


def test_servers_that_are_away_do_not_end_it(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["STATESYS_DATABASE_URL"] = "postgresql://nobody:nothing@127.0.0.1:1/nothing"
    with watching(tmp_path, environment, "0.2") as program:
        wait_until(lambda: program.text.count("unknown: ") >= 2, what="two looks")
        program.send(signal.SIGINT)
        assert program.end() == 0


def test_a_terminal_shows_the_newest_status_only(environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "statesys", "status", "--watch", "0.2"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = b""
        while shown.count(CLEARED) < 3:
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        while piece := _read(ours):
            shown += piece
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"Traceback" not in shown
    last = shown.split(CLEARED)[2]
    assert b"clients" in last


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # Linux says so when the last process of a terminal has ended.
        return b""


@pytest.mark.parametrize("seconds", ["0", "1e9", "soon", "nan"])
def test_a_wrong_pause_is_told(run: Run, environment: dict[str, str], seconds: str) -> None:
    done = run("status", f"--watch={seconds}", env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--watch" in done.stderr


# -- the history -----------------------------------------------------------------------------


@pytest.fixture
def tables(database_url: str) -> Iterator[Tables]:
    with open_tables(database_url) as tables:
        yield tables


def today(tables: Tables) -> date:
    ((day,),) = tables.rows("SELECT (now() AT TIME ZONE 'UTC')::date")
    assert isinstance(day, date)
    return day


def add_day(tables: Tables, day: date, rows: int, *, days: int = 1, name: str = "") -> None:
    """A partition of a day with rows."""
    begin, end = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (day, day))
    end += timedelta(days=days)
    name = name or f"state_message_{day:%Y%m%d}"
    if day < today(tables):
        tables.connection.execute(
            f"CREATE TABLE {name} PARTITION OF state_message "
            f"FOR VALUES FROM ('{begin.isoformat()}') TO ('{end.isoformat()}')".encode()
        )
    tables.connection.execute(
        "INSERT INTO state_message (client_id, digest, topic_type, topic_id, user_name, user_sid, "
        "state_id, criticality, message_time, params, report_date, received_at, smx_id, batch_id, "
        "loaded_at) SELECT gen_random_uuid(), decode(md5(n::text), 'hex'), 500, '', '', '', 1, 0, "
        "%s, '{}', %s, %s, gen_random_uuid(), gen_random_uuid(), %s FROM generate_series(1, %s) n",
        [begin, begin, begin, begin, rows],
    )


def history(run: Run, environment: dict[str, str]) -> dict[str, Any]:
    found = json.loads(run("status", "--json", env=environment).stdout)
    kept = found["database"]["history"]
    assert isinstance(kept, dict)
    return kept


def test_an_empty_site_keeps_nothing_yet(run: Run, environment: dict[str, str]) -> None:
    found = history(run, environment)
    assert (found["oldest_day"], found["rows_a_day"], found["full_days"]) == (None, None, 0)
    assert (found["days_ahead"], found["today"]) == (7, True)
    text = " ".join(run("status", env=environment).stdout.split())
    assert "partitions 7 days ahead" in text
    assert "history kept" not in text


def test_it_tells_the_oldest_day_and_what_a_full_day_holds(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    day = today(tables)
    # Empty days before the oldest one do not count; one after it, without a loader, does.
    for ago, rows in ((6, 0), (4, 3000), (3, 0), (2, 5000), (1, 4000), (0, 1000)):
        add_day(tables, day - timedelta(days=ago), rows)
    found = history(run, environment)
    assert found["oldest_day"] == (day - timedelta(days=4)).isoformat()
    assert found["full_days"] == 4
    assert found["rows_a_day"] == pytest.approx(12_000 / 4, rel=0.02)
    ((size,),) = tables.rows(
        "SELECT sum(pg_total_relation_size(relid))::bigint "
        "FROM pg_partition_tree('state_message') WHERE isleaf"
    )
    assert found["bytes"] == size
    assert found["bytes_a_day"] == pytest.approx(size * 12 / 13 / 4, rel=0.2)
    text = " ".join(run("status", env=environment).stdout.split())
    assert f"history kept since {found['oldest_day']} (UTC), " in text
    assert "(mean of 4 full days)" in text


def add_worker(tables: Tables, role: str, settings: str, *, seconds: int = 0) -> None:
    """A worker that was seen so many seconds ago."""
    tables.connection.execute(
        "INSERT INTO worker (id, role, host, pid, version, started_at, first_seen_at, seen_at,"
        " settings, uptime, reports, batches, chunks, messages, refused, quarantined)"
        " VALUES (gen_random_uuid(), %s, 'h', 1, 'x', now(), now(),"
        " now() - make_interval(secs => %s), %s::jsonb, 1, 0, 0, 0, 0, 0, 0)",
        [role, seconds, settings],
    )


def test_the_shortest_retention_of_the_running_loaders_is_beside_the_oldest_day(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    add_day(tables, today(tables), 1)
    assert history(run, environment)["retention"] is None
    add_worker(tables, "relay", '{"retention": "1d"}')
    add_worker(tables, "loader", '{"retention": "2d"}', seconds=3600)
    add_worker(tables, "loader", "{}")
    assert history(run, environment)["retention"] is None
    for told in ("90d", "240h", "of a later version"):
        add_worker(tables, "loader", f'{{"retention": "{told}"}}')
    assert history(run, environment)["retention"] == "240h"
    text = " ".join(run("status", env=environment).stdout.split())
    assert "; loaders delete it after 240h" in text


def test_a_partition_of_several_days_counts_as_so_many(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    day = today(tables)
    add_day(tables, day - timedelta(days=10), 6000, days=10, name="ours")
    found = history(run, environment)
    assert found["full_days"] == 10
    assert found["rows_a_day"] == 600


def test_that_today_has_no_partition_is_told(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    tables.connection.execute(f"DROP TABLE state_message_{today(tables):%Y%m%d}".encode())
    assert not history(run, environment)["today"]
    text = " ".join(run("status", env=environment).stdout.split())
    assert "partitions 7 days ahead, none for today" in text
    tables.connection.execute("CREATE TABLE rest PARTITION OF state_message DEFAULT")
    assert history(run, environment)["today"]
