"""`/topics` on a site whose truth is known, client by client."""

from collections.abc import Callable, Iterator
from urllib.parse import quote
from uuid import UUID

import pytest

from console.compliance import gather
from console.queries import compliance, query_session
from console.queries.compliance import ComplianceQueries
from loader.store import resyncs
from runtime.printable import printable_text
from tests.integration.console.test_compliance import (
    CONDITIONS,
    DEPLOYMENT,
    HOSTILE_TOPIC,
    OTHER,
    TOPICS,
    Known,
    a_site,
    count_kept,
    truth,
    write,
)
from tests.support.pages import csv_rows, pages, shown
from tests.support.viewers import Viewer
from tests.support.world import Tables, open_tables

__all__ = ["count_kept"]

KINDS = {topic_type for topic_type, _ in TOPICS}
QUESTIONS = (*((kind, None) for kind in sorted(KINDS)), *TOPICS, (301, "unknown"), (4242, None))


def path_of(topic_type: int, topic_id: str | None) -> str:
    topic = "" if topic_id is None else f"/{quote(topic_id, safe='')}"
    return f"/topics/{topic_type}{topic}"


def told(site: list[Known], topic_type: int, topic_id: str | None = None) -> int:
    return sum(bool(one.told(topic_type, topic_id)) for one in site)


@pytest.fixture
def tables(database_url: str) -> Iterator[Tables]:
    with open_tables(database_url) as found:
        yield found


@pytest.fixture
def site(tables: Tables) -> list[Known]:
    site = a_site(seed=7)
    write(tables, site)
    return site


def test_counts_and_completeness_are_the_truth(viewer: Viewer, site: list[Known]) -> None:
    for question in QUESTIONS:
        page = shown(viewer, path_of(*question))
        known = truth(site, *question)
        by_id = {str(number): clients for number, clients in known["states"].items()}
        lines = page.rows("Clients by state")
        for words, _, *numbers in lines[:-3]:
            clients = by_id.pop(words.split()[0])
            assert [int(n) for n in numbers] == [clients["clients"], *_of(clients)]
        assert not by_id
        for (_, _, *numbers), key in zip(lines[-3:], ("told", "never", "all"), strict=True):
            assert [int(n) for n in numbers] == [known[key]["clients"], *_of(known[key])]
        assert f"of {len(site)} clients" in page.text("//p[@class='completeness']")
        assert f"statesys compliance {question[0]}" in page.text("//footer")


def _of(clients: dict[str, dict[str, int]]) -> list[int]:
    return [clients["conditions"][condition] for condition in CONDITIONS]


@pytest.mark.parametrize("topic_id", [None, DEPLOYMENT])
@pytest.mark.parametrize("state", ["3", "4000000000", "never"])
def test_the_clients_of_a_state_are_the_truth_page_by_page_and_as_csv(
    viewer: Viewer, site: list[Known], topic_id: str | None, state: str
) -> None:
    expected = [
        one
        for one in site
        if (
            not one.told(301, topic_id)
            if state == "never"
            else int(state) in one.told(301, topic_id)
        )
    ]
    listed = list(pages(viewer, f"{path_of(301, topic_id)}?state={state}&limit=7"))
    rows = [row for page in listed for row in page.rows("Clients in the state")]
    assert [(row[5], row[1]) for row in rows] == [
        (str(one.client_id), one.condition) for one in expected
    ]
    assert len(listed) == -(-len(expected) // 7)
    topic = "" if topic_id is None else f"&topic_id={quote(topic_id, safe='')}"
    found = csv_rows(viewer, f"/compliance.csv?topic_type=301{topic}&state={state}")
    assert [row["client_id"] for row in found] == [str(one.client_id) for one in expected]


def test_why_each_unknown_client_is_unknown_is_one_click_away(
    viewer: Viewer, site: list[Known]
) -> None:
    page = shown(viewer, f"{path_of(301, DEPLOYMENT)}?state=never&limit=1000")
    links = [link for link in page.links("Clients in the state") if "/why/" in link]
    never = [one for one in site if not one.told(301, DEPLOYMENT)]
    assert len(links) == len(never)
    for link, one in zip(links, never, strict=True):
        why = shown(viewer, link)
        said = why.text("//p[@class='verdict']/strong")
        expected = {"complete": "never reported", "gaps": "missing"}
        assert said == expected.get(one.condition, one.condition)
    assert page.link("Back to the numbers") == path_of(301, DEPLOYMENT)


def test_every_type_has_a_sentence_and_how_many_clients_told(
    viewer: Viewer, site: list[Known]
) -> None:
    page = shown(viewer, "/topics")
    rows = {int(row[0]): row for row in page.rows("Topic types")}
    assert len(rows) > 40
    for kind, row in rows.items():
        assert int(row[2]) == told(site, kind)
        assert row[3]
    assert f"of {len(site)} clients" in page.text("//p[@class='completeness']")
    as_csv = csv_rows(viewer, "/topics.csv")
    assert {int(row["topic_type"]): int(row["clients"]) for row in as_csv} == {
        kind: told(site, kind) for kind in rows
    }


def test_a_type_lists_its_topics_with_the_clients_that_told(
    viewer: Viewer, site: list[Known], tables: Tables
) -> None:
    for kind in KINDS:
        rows = shown(viewer, f"/topics/{kind}").rows("Topics of this type")
        expected = [(t, told(site, kind, t)) for k, t in TOPICS if k == kind]
        assert [int(row[1]) for row in rows] == [count for _, count in sorted(expected)]
    assert len(shown(viewer, "/topics/301").links("Topics of this type")) == 2
    tables.connection.execute(
        "INSERT INTO current_state (client_id, topic_type, topic_id, user_sid, state_id, "
        "criticality, message_time, digest, params) SELECT client_id, 500, ' ' || n, '', 1, 0, "
        "now(), '', '{}' FROM generate_series(1, 120) n, "
        "(SELECT client_id FROM client LIMIT 2) AS c"
    )
    listed = list(pages(viewer, "/topics/500"))
    found = [link for page in listed for link in page.links("Topics of this type")]
    assert len(listed) == 3
    assert sorted(found) == sorted(f"/topics/500/{quote(f' {n}')}" for n in range(1, 121))


@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_a_search_that_ends_early_goes_on_behind_the_clients_that_it_looked_at(
    site: list[Known], database_url: str, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    monkeypatch.setattr(gather, "_AT_ONCE", 4)
    monkeypatch.setattr(gather, "_PATIENCE", patience)
    with ComplianceQueries.open(database_url, name="test") as queries:
        question = gather.Question(301, OTHER)
        totals = gather.count(queries, question).totals
        for states in (None, [3]):
            found: list[UUID] = []
            after: UUID | None = None
            while True:
                page, after = gather.find_quickly(
                    queries, question, states, totals, after=after, limit=3
                )
                assert len(page) <= 3
                found += [one.client_id for one in page]
                if after is None:
                    break
            told = {one.client_id: one.told(301, OTHER) for one in site}
            assert found == [
                one.client_id
                for one in site
                if (3 in told[one.client_id] if states else not told[one.client_id])
            ]


@pytest.mark.parametrize("small_topic", [1, 1_000])
def test_a_large_site_tells_what_the_loaders_counted(
    site: list[Known],
    database_url: str,
    count_kept: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    small_topic: int,
) -> None:
    monkeypatch.setattr(query_session, "COUNTED_BYTES", -1)
    monkeypatch.setattr(resyncs, "SMALL_TOPIC", small_topic)
    with ComplianceQueries.open(database_url, name="test") as queries:
        assert queries.told_of_types() is None
        count_kept()
        types = queries.told_of_types()
        assert types is not None
        assert {row.topic_type: row.clients for row in types} == {k: told(site, k) for k in KINDS}
        for kind in KINDS:
            found = {row.topic_id: row.clients for row in queries.topic_ids(kind, limit=50)}
            assert found == {t: told(site, kind, t) for k, t in TOPICS if k == kind}
        if small_topic > 1:
            monkeypatch.setattr(compliance, "_MOST_STATES", 5)
            for row in queries.topic_ids(301, limit=50):
                assert not row.exact
                assert row.clients <= 6


def test_hostile_text_is_shown_harmlessly_on_each_page_and_csv(
    viewer: Viewer, site: list[Known]
) -> None:
    topic = quote(HOSTILE_TOPIC, safe="")
    assert "\\x1b[31m" in shown(viewer, "/topics/402").text()
    for query in ("", "?state=3", "?state=never"):
        assert "\\x1b[31m" in shown(viewer, f"/topics/402/{topic}{query}").text()
    counts = csv_rows(viewer, f"/compliance.csv?topic_type=402&topic_id={topic}")
    assert {row["topic_id"] for row in counts} == {f"'{printable_text(HOSTILE_TOPIC)}"}
    assert int(counts[-1]["clients"]) == len(site)
    names = csv_rows(viewer, f"/compliance.csv?topic_type=402&topic_id={topic}&state=never")
    assert len(names) == len(site) - told(site, 402)


def test_an_empty_site_says_what_is_not_there(empty_viewer: Viewer) -> None:
    assert "of 0 clients" in shown(empty_viewer, "/topics").text()
    assert "No client has a state of this type" in shown(empty_viewer, "/topics/301").text()
    for state in ("6", "never"):
        assert "No client" in shown(empty_viewer, f"/topics/301?state={state}").text()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/topics/x", 422, "valid integer"),
        (f"/topics/{2**31}", 422, "less than or equal"),
        ("/topics/301?state=nonsense", 400, "known are: 0 Enforcement state unknown"),
        ("/topics/301?state=99", 400, "known are: 0 Enforcement state unknown"),
        ("/topics/301?after=x", 422, "valid UUID"),
        ("/topics/301?after_id=%00", 422, "pattern"),
        ("/topics/301/%00", 422, "pattern"),
        (f"/topics/301/{'x' * 513}", 422, "at most 512"),
        ("/topics/301?nonsense=1", 422, "not permitted"),
    ],
)
def test_what_cannot_be_asked_is_an_error_page(
    empty_viewer: Viewer, path: str, status: int, words: str
) -> None:
    assert words in shown(empty_viewer, path, status=status).text()
