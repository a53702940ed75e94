"""`/gaps`, `/resyncs` and `/dead`: what they list, page by page, and as CSV."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from io import StringIO
from urllib.parse import quote, unquote

import psycopg
import pytest

from runtime.broker import Administration, persistent
from runtime.broker.dead_letters import dead_letter
from runtime.devserver import Endpoints
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.topology import DEAD, QUEUES, REPORTS
from tests.integration.console.conftest import _shared
from tests.support import commands
from tests.support.pipeline import Pipeline
from tests.support.viewers import Viewer, viewing
from tests.support.world import START

pytestmark = pytest.mark.timeout(240)
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e=1+1"


@pytest.fixture(scope="module")
def lossy(
    endpoints: Endpoints,
    database_template: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """Some reports were lost or damaged, the others are loaded."""
    with _shared(endpoints, database_template(), tmp_path_factory.mktemp("lossy")) as pipeline:
        pipeline.publish(loss=0.2, corrupt=0.2, duplicate=0.1)
        pipeline.work()
        yield pipeline


@pytest.fixture(scope="module")
def lossy_viewer(lossy: Pipeline) -> Iterator[Viewer]:
    """The viewer of that site."""
    with viewing(lossy.environment) as viewer:
        yield viewer


def asked(pipeline: Pipeline, *words: str) -> list[dict[str, object]]:
    """The answer of a command."""
    done = commands.run(*words, "--json", env=pipeline.environment)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def all_pages(viewer: Viewer, path: str) -> list[str]:
    """The texts of all pages of a list, by its links to the next one."""
    texts = []
    following: str | None = path
    while following:
        found = viewer.get(following)
        assert found.status == 200, found.text
        text = found.text
        texts.append(text)
        link = re.search(r'<a href="([^"]*)" rel="next">', text)
        following = link[1].replace("&amp;", "&") if link else None
    return texts


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


def test_gaps_are_those_of_the_command_page_by_page_and_as_csv(
    lossy: Pipeline, lossy_viewer: Viewer
) -> None:
    ranges = asked(lossy, "gaps")
    assert len(ranges) > 3
    pages = all_pages(lossy_viewer, "/gaps?limit=3")
    shown = [found for text in pages for found in re.findall(r'<a href="/clients/([^"]+)"', text)]
    assert sorted(shown) == sorted(str(row["client_id"]) for row in ranges)
    assert len(pages) == -(-len(ranges) // 3)
    rows = rows_of(lossy_viewer.get("/gaps.csv").text)
    assert [(row["client_id"], row["first_serial"]) for row in rows] == [
        (row["client_id"], str(row["first_serial"])) for row in ranges
    ]
    assert "have gaps" in pages[0]
    assert "No missing range was closed" in lossy_viewer.get("/gaps?state=closed").text


def test_a_place_that_was_made_up_is_told_as_such(lossy_viewer: Viewer) -> None:
    for path in ("/gaps?after=1,2", "/gaps?state=lost", "/dead?after=-1"):
        assert lossy_viewer.get(path).status == 422
    for path in ("/gaps?after=WzFd", "/resyncs?after=x", "/clients?after=WzFd"):
        assert lossy_viewer.get(path).status == 400


def test_requests_are_listed_by_their_state(viewer: Viewer, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO statesys.client (client_id, name) SELECT gen_random_uuid(), 'NB-' || n "
            "FROM generate_series(1, 7) n"
        )
        connection.execute(
            "INSERT INTO statesys.resync_request (client_id, request_id, reason, requested_at, "
            "sent_at, closed_at, closed_how) "
            "SELECT client_id, gen_random_uuid(), 'missing', now(), sent, closed, how "
            "FROM statesys.client, (VALUES (NULL::timestamptz, NULL::timestamptz, NULL), "
            "(now(), NULL, NULL), (now(), now(), 'answered'), (now(), now(), 'unanswered')) "
            "AS v (sent, closed, how)"
        )
    for state, expected in (
        *(("pending", 14), ("unsent", 7), ("sent", 7), ("answered", 7), ("unanswered", 7)),
        *(("overtaken", 0), ("unroutable", 0), ("arrived", 0)),
    ):
        ids = [
            found
            for text in all_pages(viewer, f"/resyncs?state={state}&limit=3")
            for found in re.findall(r"<td><code>([^<]+)</code></td>", text)
        ]
        assert len(ids) == len(set(ids)) == expected, state
        rows = rows_of(viewer.get(f"/resyncs.csv?state={state}").text)
        assert [row["request_id"] for row in rows] == ids
    assert "14 pending, 7 of them to be sent" in viewer.get("/resyncs").text


def test_dead_letters_are_those_of_the_command_and_each_has_its_page(
    lossy: Pipeline, lossy_viewer: Viewer
) -> None:
    letters = asked(lossy, "dead", "list")
    pages = all_pages(lossy_viewer, "/dead?reason=not_well_formed&limit=2")
    links = [found for text in pages for found in re.findall(r'<a href="(/dead/[^"]+)"', text)]
    assert [unquote(link.removeprefix("/dead/")) for link in links] == [
        letter["id"] for letter in letters
    ]
    text = lossy_viewer.get(links[0]).text
    assert "not_well_formed: not well-formed XML" in text
    assert f"<code>statesys dead replay {letters[0]['id']}</code>" in text
    assert "&lt;Report&gt;" in text
    assert lossy_viewer.get("/dead/nobody").status == 404
    # Looking left them all in the queue.
    assert len(asked(lossy, "dead", "list")) == len(letters)


def test_a_letter_of_a_stranger_is_shown_harmlessly(viewer: Viewer, amqp_url: str) -> None:
    names = ["-x/../%41?", "text", "bytes", "empty"]
    bodies = [b"<a>" + HOSTILE.encode(), HOSTILE.encode("utf-16"), b"\xff\xfe\xfd\x00\xd8", b""]
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        for name, body in zip(names, bodies, strict=True):
            original = persistent(message_id=name, headers={"x" + HOSTILE: [HOSTILE, 1, None]})
            refusal = Refused(Reason.TOO_LONG, HOSTILE)
            properties = dead_letter(original, refusal, stage="relay", queue=REPORTS, now=START)
            admin.publish(routing_key=DEAD, body=body, properties=properties)
        admin.publish(routing_key=DEAD, body=b"y" * 100_000, properties=persistent())
    texts = {name: viewer.get(f"/dead/{quote(name, safe='')}") for name in names}
    for found in (*texts.values(), viewer.get("/dead"), viewer.get("/")):
        assert found.status == 200
        assert "<script>alert" not in found.text
        assert "\x1b" not in found.text
        assert "\u202e" not in found.text
    assert "statesys dead replay -- &#39;-x/../%41?&#39;" in texts[names[0]].text
    assert "&lt;script&gt;alert(1)" in texts["text"].text
    assert "00000000  ff fe fd 00 d8" in texts["bytes"].text
    assert "It is empty." in texts["empty"].text
    text = viewer.get("/dead").text
    long = re.findall(r'<a href="(/dead/[0-9a-f]{16})"', text)
    assert "These are its first 32,768 bytes" in viewer.get(long[0]).text


def test_empty_lists_say_so(empty_viewer: Viewer) -> None:
    for path, words in (
        ("/gaps", "Nothing is missing"),
        ("/resyncs", "No request is pending"),
        ("/dead", "There are no dead letters"),
    ):
        found = empty_viewer.get(path)
        assert found.status == 200
        assert words in found.text


@pytest.mark.parametrize("path", ["/clients", "/clients.csv"])
def test_a_collection_that_is_not_there_is_told_by_page_and_file(
    empty_viewer: Viewer, path: str
) -> None:
    got = empty_viewer.get(f"{path}?collection=nix")
    assert got.status == 400
    assert "nix" in got.text
