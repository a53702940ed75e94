"""`statesys messages`: the history by client, or by topic and state within a time; followed."""

import csv
import io
import json
import shlex
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from loader.store.chunks import ChunkStore
from tests.integration.console.conftest import Run
from tests.support.pages import shown
from tests.support.processes import Program
from tests.support.viewers import viewing
from tests.support.waiting import wait_until
from tests.support.world import CLIENT, Tables, chunk_store, load, message, open_tables, report

OTHER = UUID("22222222-2222-4222-8222-222222222222")
HOSTILE = "=1+1\u202e\x1b[2J<b>"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def store(database_url: str) -> Iterator[ChunkStore]:
    store = chunk_store(database_url)
    yield store
    store.close()


@pytest.fixture
def history(store: ChunkStore, database_url: str) -> Iterator[Tables]:
    """Forty messages of two clients, in four chunks with equal moments."""
    for turn in range(4):
        numbers = range(1 + 5 * turn, 6 + 5 * turn)
        load(
            store,
            report(*(message(n, topic_type=301 + n % 2, state=n % 3) for n in numbers)),
            report(*(message(n, topic=f"t{n % 2}") for n in numbers), client=OTHER),
        )
    with open_tables(database_url) as tables:
        yield tables


def listed(run: Run, environment: dict[str, str], *words: object) -> dict[str, Any]:
    done = run("messages", *words, "--json", env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def keys(found: dict[str, Any]) -> list[str]:
    return [f"{one['client_id']} {one['key']}" for one in found["messages"]]


@pytest.mark.parametrize(
    "words",
    [[], ["--client", CLIENT], ["--topic-type", 301], ["--within", "2h", "--topic-id", "t1"]],
    ids=lambda words: " ".join(map(str, words)) or "all",
)
def test_pages_have_each_message_once(
    run: Run, environment: dict[str, str], history: Tables, words: list[object]
) -> None:
    whole = keys(listed(run, environment, *words, "--limit", 1000))
    pages: list[str] = []
    after: list[object] = []
    while True:
        page = listed(run, environment, *words, "--limit", 7, *after)
        pages += keys(page)
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    where = {
        "--client": f"client_id = '{CLIENT}'",
        "--topic-type": "topic_type = 301",
        "--within": "topic_id = 't1'",
    }.get(str(words[0]) if words else "", "true")
    ((count,),) = history.rows(f"SELECT count(*) FROM state_message WHERE {where}")
    assert pages == whole
    assert len(set(pages)) == len(pages) == count > 7


@pytest.mark.usefixtures("history")
def test_names_stand_for_codes(run: Run, environment: dict[str, str]) -> None:
    found = listed(run, environment, "--topic-type", "301", "--state", "1")["messages"]
    assert found
    assert {one["state_id"] for one in found} == {1}
    name = found[0]["state_name"]
    assert name != "1"
    again = listed(run, environment, "--topic-type", found[0]["topic_name"], "--state", name)
    assert again["messages"] == found
    done = run("messages", "--client", "pc1", "--limit", 3, env=environment)
    assert (done.returncode, str(OTHER) in done.stderr) == (2, True)
    text = run("messages", "--limit", 3, env=environment)
    assert name in run("messages", "--topic-type", "301", "--state", name, env=environment).stdout
    assert "3 listed as of" in text.stderr
    assert "there are more: --after " in text.stderr


@pytest.mark.usefixtures("history")
def test_a_page_names_the_command_that_lists_the_same(
    run: Run, environment: dict[str, str]
) -> None:
    with viewing(environment) as viewer:
        for query in ("", "topic_type=301&state=1&within=2h", f"client={OTHER}&topic_id=t0"):
            command = shown(viewer, f"/messages?{query}").text(
                "//p[contains(., 'The same on a terminal')]/code"
            )
            words = shlex.split(command)
            assert words[:2] == ["statesys", "messages"]
            told = viewer.get(f"/api/v1/messages?{query}").data
            assert keys(listed(run, environment, *words[2:])) == keys(told)
        followed = shown(viewer, "/messages?live=true").text(
            "//p[contains(., 'The same on a terminal')]/code"
        )
        assert followed == "statesys messages --follow"


def test_hostile_text_is_harmless(run: Run, environment: dict[str, str], store: ChunkStore) -> None:
    load(store, report(message(1, topic=HOSTILE)))
    table = run("messages", env=environment).stdout
    file = run("messages", "--csv", env=environment).stdout
    for text in (table, file):
        assert not {"\u202e", "\x1b"} & set(text)
    (row,) = csv.DictReader(io.StringIO(file))
    cut = run("messages", "--csv", "--limit", 1, env=environment)
    assert len(cut.stdout.splitlines()) == 2
    assert "1 listed" in cut.stderr
    assert row["topic_id"].startswith("'=1+1")
    assert listed(run, environment)["messages"][0]["topic_id"] == HOSTILE


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--state", "1"], "give the topic type too"),
        (["--topic-type", "301", "--state", "nope"], "--state"),
        (["--topic-type", "301", "--state", "never"], "statesys compliance"),
        (["--after", "\u00e9"], "is no place in this list"),
        (["--after", "WzE3XQ"], "is no place in this list"),
        (["--until", "yesterday"], "2026-11-24T08:30:00Z"),
        (["--until", "0001-01-01"], "1970"),
        (["--csv", "--json"], "exclude each other"),
        (["--follow", "--csv"], "--follow excludes"),
        (["--follow", "--until", "2026-11-24"], "--follow excludes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_searched_is_told(
    run: Run, environment: dict[str, str], words: list[str], told: str
) -> None:
    done = run("messages", *words, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in " ".join(done.stderr.split())


def has_lines(program: Program, count: int) -> bool:
    return len(program.text.splitlines()) == count


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["lines", "json"])
def test_followed_messages_come_once_as_they_are_loaded(
    environment: dict[str, str], store: ChunkStore, tmp_path: Path, form: list[str]
) -> None:
    words = ("--follow", "--limit", 5, "--client", CLIENT, *form)
    urls = {
        "amqp_url": environment["STATESYS_AMQP_URL"],
        "database_url": environment["STATESYS_DATABASE_URL"],
    }
    with Program(tmp_path / "followed", "messages", *map(str, words), **urls) as program:
        wait_until(partial(has_lines, program, 5), what="the newest messages")
        for number in range(21, 25):
            load(store, report(message(number)), report(message(number), client=OTHER))
            count = 5 + number - 20
            wait_until(partial(has_lines, program, count), what="the next one")
        # In one transaction, by number; as text, 100 stands before 99.
        load(store, report(*map(message, (99, 100, 101))))
        wait_until(partial(has_lines, program, 12), what="the last ones")
        program.send(signal.SIGINT)
        assert program.end() == 0
    lines = program.text.splitlines()
    serials = [json.loads(line)["serial"] if form else int(line.split("  ")[2]) for line in lines]
    assert serials == [*range(16, 25), 99, 100, 101]
