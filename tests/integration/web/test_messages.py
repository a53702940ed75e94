"""`/messages`: searched by client, or by topic and state within a time; one message as XML."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from console.queries import Queries
from console.queries.messages import InTime, MessageFilter
from console.queries.query_session import named_text
from loader.store.chunks import ChunkStore
from runtime.printable import printable_text
from schemas.report import StateMessage
from tests.support.viewers import Viewer
from tests.support.world import (
    CLIENT,
    START,
    Tables,
    chunk_store,
    load,
    message,
    open_tables,
    report,
)

OTHER = UUID("22222222-2222-4222-8222-222222222222")
HOSTILE = "<script>alert(1)</script>\u202e=1+1"
#: Rows of one client and of many others over three hours: one each second.
HISTORY = """
INSERT INTO statesys.state_message
SELECT CASE WHEN n %% 10 = 0 THEN %(one)s::uuid
            ELSE (lpad(to_hex(n), 8, '0') || '-0000-4000-8000-000000000000')::uuid END,
       CASE WHEN n %% 20 > 0 THEN n END, NULL, decode(md5(n::text), 'hex'), 300 + n %% 3,
       't' || n %% 7, 3, '', '', n %% 5, 0, now(), '{}', NULL, NULL, now(), NULL, now(),
       gen_random_uuid(), gen_random_uuid(), false, NULL,
       %(end)s::timestamptz - n * interval '1 second'
FROM generate_series(1, 10000) n
"""


@pytest.fixture
def store(database_url: str) -> Iterator[ChunkStore]:
    store = chunk_store(database_url)
    yield store
    store.close()


def told(**changed: Any) -> StateMessage:
    return message(1)._replace(**changed)


def fill(tables: Tables, end: datetime) -> None:
    """Write `HISTORY`, which may begin on the day before."""
    tables.connection.execute("CREATE TABLE the_day_before PARTITION OF state_message DEFAULT")
    tables.connection.execute(HISTORY.encode(), {"one": CLIENT, "end": end})


def keys(text: str) -> list[str]:
    return re.findall(r'href="/messages/([0-9a-f-]{36}/[0-9]*-[0-9a-f]{32})"', text)


def following(text: str) -> str | None:
    found = re.search(r'<a href="(/messages\?[^"]*)" rel="next"', text)
    return None if found is None else found[1].replace("&amp;", "&")


def pages(viewer: Viewer, path: str) -> Iterator[list[str]]:
    """The keys on each page from a path on."""
    at: str | None = path
    while at is not None:
        got = viewer.get(at)
        assert got.status == 200, got.text
        yield keys(got.text)
        at = following(got.text)


def test_a_site_without_messages_says_when_they_appear(empty_viewer: Viewer) -> None:
    got = empty_viewer.get("/messages")
    assert got.status == 200
    assert "Messages appear here when a loader has stored them" in got.text


def test_messages_show_names_and_lead_to_client_serial_and_xml(
    viewer: Viewer, store: ChunkStore
) -> None:
    load(store, report(told(topic_type=301, state_id=6, topic_id="{A}", details="<a/>")))
    text = viewer.get("/messages").text
    assert "301 STATE_TOPICTYPE_SUM_ASSIGNMENT_ENFORCEMENT" in text
    assert "6 Failed to install update(s)" in text
    assert f'href="/clients/{CLIENT}"' in text
    assert f'href="/clients/{CLIENT}/serials/1"' in text
    (key,) = keys(text)
    one = viewer.get(f"/messages/{key}")
    assert one.status == 200
    assert "Rendered again from the stored row" in one.text
    assert "&lt;StateDetails&gt;&lt;![CDATA[&lt;a/&gt;]]&gt;&lt;/StateDetails&gt;" in one.text
    assert f"statesys trace {CLIENT} 1" in one.text
    file = viewer.get(f"/messages/{key}.xml")
    assert file.headers["content-type"].startswith("application/xml")
    assert file.text.startswith('<StateMessage MessageTime="20260301080000.000000+000"')


def test_a_message_without_a_number_has_a_page_too(viewer: Viewer, store: ChunkStore) -> None:
    load(store, report(told(serial=None, serial_text="n/a", topic_type=902)))
    (key,) = keys(viewer.get(f"/messages?client={CLIENT}").text)
    assert key.startswith(f"{CLIENT}/-")
    assert "n/a (not the client's counter)" in viewer.get(f"/messages/{key}").text


@pytest.mark.parametrize(
    "path",
    [
        f"/messages/{CLIENT}/1-{'0' * 32}",
        f"/messages/{CLIENT}/-{'0' * 32}",
        f"/messages/{CLIENT}/99999999999999999999-{'0' * 32}",
        f"/messages/{CLIENT}/9223372036854775807-{'0' * 32}",
        f"/messages/{CLIENT}/0-{'0' * 32}",
        f"/messages/{CLIENT}/nothing",
        f"/messages/{CLIENT}/nothing.xml",
        "/messages?client=NOBODY",
    ],
)
def test_what_is_not_there_is_not_found(empty_viewer: Viewer, path: str) -> None:
    assert empty_viewer.get(path).status == 404


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("topic_type=nothing", "neither a number nor a topic of the catalogue"),
        ("topic_type=99999999999", "too large"),
        ("state=6", "give the topic type too"),
        ("topic_type=301&state=nonsense", "no known state"),
        ("topic_type=301&state=never", "never told"),
        ("within=soon", "no duration"),
        ("until=yesterday", "until"),
        ("until=0001-01-01", "1970"),
        ("topic_id=%00", "topic_id"),
        ("client=GUID:17", "no client id"),
        ("after=nonsense", "no place in this list"),
        ("after=WzFd", "no place in this list"),
        (f"client={CLIENT}&after=WzFd", "no place in this list"),
        ("limit=0", "limit"),
        ("colour=red", "colour"),
    ],
)
def test_a_search_that_cannot_be_understood_says_so(
    empty_viewer: Viewer, query: str, words: str
) -> None:
    got = empty_viewer.get(f"/messages?{query}")
    assert got.status in {400, 422}
    assert words in got.text


def test_the_pages_of_a_time_have_each_message_once_newest_first(
    viewer: Viewer, database_url: str
) -> None:
    with open_tables(database_url) as tables:
        end = datetime.now(UTC)
        fill(tables, end)
        expected = [
            f"{client}/{'' if serial is None else serial}-{digest.hex()}"
            for client, serial, digest in tables.rows(
                "SELECT client_id, serial, digest FROM state_message "
                "WHERE topic_type = 301 AND state_id = 2 AND loaded_at >= %s AND loaded_at < %s "
                "ORDER BY loaded_at DESC",
                end - timedelta(hours=2),
                end,
            )
        ]
    query = f"topic_type=301&state=2&within=2h&until={quote(end.isoformat())}"
    found = [key for page in pages(viewer, f"/messages?{query}&limit=100") for key in page]
    assert found == expected
    whole = viewer.get(f"/messages.csv?{query}")
    lines = list(csv.DictReader(io.StringIO(whole.text)))
    assert [f"{line['client_id']}/{line['serial']}-{line['digest']}" for line in lines] == expected


def test_the_pages_of_a_client_have_each_message_once_highest_serials_first(
    viewer: Viewer, database_url: str
) -> None:
    with open_tables(database_url) as tables:
        fill(tables, datetime.now(UTC))
        expected = [
            f"{client}/{'' if serial is None else serial}-{digest.hex()}"
            for client, serial, digest in tables.rows(
                "SELECT client_id, serial, digest FROM state_message WHERE client_id = %s "
                "ORDER BY serial DESC NULLS LAST, digest DESC",
                CLIENT,
            )
        ]
    found = [key for page in pages(viewer, f"/messages?client={CLIENT}&limit=90") for key in page]
    assert found == expected
    assert len(expected) == 1000


def test_messages_of_one_transaction_share_a_moment_and_are_all_found(
    viewer: Viewer, store: ChunkStore
) -> None:
    load(store, report(*[message(serial, topic=f"t{serial}") for serial in range(1, 26)]))
    found = [key for page in pages(viewer, "/messages?limit=10") for key in page]
    assert len(found) == len(set(found)) == 25


def test_a_search_stops_after_many_rows_and_says_how_far_it_came(database_url: str) -> None:
    now = datetime.now(UTC)
    with open_tables(database_url) as tables:
        fill(tables, now)
    chosen, since = MessageFilter(topic_type=300, topic_id="nothing"), now - timedelta(hours=2)
    with Queries.open(database_url, name="test") as queries:
        found = queries.messages_in_time(
            chosen, since=since, behind=InTime(now), limit=10, most_read=1000
        )
        assert not found.messages
        assert not found.full
        assert found.behind is not None
        assert since < found.behind.loaded_at < now - timedelta(seconds=999)
        rest = queries.messages_in_time(chosen, since=since, behind=found.behind, limit=10)
        assert rest.behind is None


def test_each_search_comes_further_also_where_many_rows_share_a_moment(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.queries.messages._SLICE", 10)
    now = datetime.now(UTC).replace(second=30)
    with open_tables(database_url) as tables:
        fill(tables, now)
        tables.connection.execute(
            "UPDATE statesys.state_message SET loaded_at = date_trunc('minute', loaded_at)"
        )
    chosen, since = MessageFilter(topic_type=300, topic_id="nothing"), now - timedelta(minutes=10)
    behind, places = InTime(now), [now]
    with Queries.open(database_url, name="test") as queries:
        while behind.loaded_at > since:
            found = queries.messages_in_time(
                chosen, since=since, behind=behind, limit=10, most_read=1
            )
            if found.behind is None:
                break
            behind = found.behind
            assert behind.loaded_at < places[-1]
            places.append(behind.loaded_at)
    assert len(places) == 11


def test_a_live_page_asks_for_rows_and_reloads_without_a_script(
    viewer: Viewer, store: ChunkStore
) -> None:
    load(store, report(message(1)))
    text = viewer.get("/messages?live=true&topic_type=500").text
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in text
    found = re.search(r'data-from="([^"]*)"', text)
    assert found is not None
    rows = viewer.get(found[1].replace("&amp;", "&"))
    assert rows.status == 200
    assert keys(rows.text) == keys(text)
    assert "<html" not in rows.text


def test_hostile_text_is_shown_harmlessly_in_page_and_csv(
    viewer: Viewer, store: ChunkStore
) -> None:
    hostile = HOSTILE.removeprefix("<")
    load(store, report(told(topic_id=f"={HOSTILE}", user_name=HOSTILE, details=HOSTILE)))
    text = viewer.get("/messages").text
    (key,) = keys(text)
    for page in (text, viewer.get(f"/messages/{key}").text):
        assert f"<{hostile}" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e" in page
    (line,) = csv.DictReader(io.StringIO(viewer.get("/messages.csv").text))
    assert line["topic_id"] == f"'={printable_text(HOSTILE)}"


def test_the_history_of_a_forgotten_client_is_still_shown(
    viewer: Viewer, store: ChunkStore, database_url: str
) -> None:
    load(store, report(message(1), client=OTHER, date=START))
    with open_tables(database_url) as tables:
        tables.connection.execute("DELETE FROM client")
    assert f'<a href="/clients/{OTHER}">{OTHER}</a>' in viewer.get("/messages").text


def test_an_index_is_used_although_nothing_is_known_of_the_rows(database_url: str) -> None:
    now = datetime.now(UTC)
    with open_tables(database_url) as tables:
        fill(tables, now)
        tables.connection.execute("DELETE FROM pg_statistic")
    behind = InTime(now - timedelta(minutes=10))
    values = {"since": behind.loaded_at - timedelta(minutes=1), **behind._asdict(), "most": 1000}
    with Queries.open(database_url, name="test") as queries, queries._by_index():
        plan = queries._session.connection.execute(
            f"EXPLAIN {named_text('rows_of_slice')}".encode(), values
        ).fetchall()
    assert "Bitmap Index Scan" in str(plan)
    assert "Seq Scan" not in str(plan)
