"""`/collections` shows rules and members, client by client."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from console.queries import query_session
from loader.store.collections import CollectionStore
from runtime.printable import printable_text
from tests.support.conditions import client_id, fill
from tests.support.pages import FORMULA, HOSTILE, csv_rows, pages, shown
from tests.support.viewers import Viewer
from web.pages import collections as page_module
from web.readers import SiteQueries


@pytest.fixture
def truth(database_url: str) -> dict[UUID, str]:
    return fill(database_url)


@pytest.fixture
def store(database_url: str) -> Iterator[CollectionStore]:
    with closing(CollectionStore(database_url, name="test")) as store:
        yield store


def evaluate(store: CollectionStore) -> None:
    while store.evaluate_next(now=store.now(), interval=timedelta(minutes=5)):
        pass


def ids(page_rows: list[list[str]]) -> list[str]:
    return [row[5] for row in page_rows]


def test_members_are_those_that_fulfil_the_rule(
    viewer: Viewer, store: CollectionStore, truth: dict[UUID, str]
) -> None:
    for condition in ("gaps", "quiet", "complete"):
        store.create(condition, f"condition = {condition}")
    for evaluated in (False, True):
        if evaluated:
            evaluate(store)
        rows = {row[0]: row for row in shown(viewer, "/collections").rows("Collections")}
        for condition in ("gaps", "quiet", "complete"):
            expected = sorted(str(one) for one, known in truth.items() if known == condition)
            listed = list(pages(viewer, f"/collections/{condition}?limit=2"))
            assert [id_ for page in listed for id_ in ids(page.rows("Members"))] == expected
            found = csv_rows(viewer, f"/collections/{condition}/members.csv")
            assert [row["id"] for row in found] == expected
            assert rows[condition][1] == (str(len(expected)) if evaluated else "-")
            facts = dict(listed[0].rows("The collection"))
            assert facts["members"] == str(len(expected))
            assert facts["rule"] == f"condition = {condition}"
            assert ("not yet" in facts["evaluated"]) is not evaluated
            sentence = listed[0].text("//p[@class='completeness']")
            assert f"of {len(expected)} clients" in sentence


def test_who_joined_within_a_time_is_a_filter(
    viewer: Viewer, store: CollectionStore, truth: dict[UUID, str], database_url: str
) -> None:
    store.create("All", "name like '*'")
    evaluate(store)
    early = client_id(3)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE statesys.collection_member SET joined_at = joined_at - interval '2 h' "
            "WHERE client_id = %s",
            [early],
        )
    page = shown(viewer, "/collections/All?joined_since=1h")
    expected = sorted(str(one) for one in truth if one != early)
    assert ids(page.rows("Members")) == expected
    assert "--joined-since 1h" in page.text("//footer")
    found = csv_rows(viewer, "/collections/All/members.csv?joined_since=1h")
    assert [row["id"] for row in found] == expected
    assert "No member fits" in shown(viewer, "/collections/All?joined_since=0s").text()


def test_on_a_large_site_the_members_are_those_of_the_last_evaluation(
    store: CollectionStore,
    truth: dict[UUID, str],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.create("Gaps", "condition = gaps")
    evaluate(store)
    asked = page_module.Members()
    with SiteQueries.open(database_url, name="test") as queries:
        (found,) = queries.collections()

        def members() -> list[UUID]:
            rows = page_module._members(queries, found, asked, after=None, limit=50)
            assert all(row.joined_at is not None for row in rows)
            return [row.client_id for row in rows]

        expected = sorted(one for one, known in truth.items() if known == "gaps")
        assert members() == expected
        monkeypatch.setattr(query_session, "COUNTED_BYTES", -1)
        assert members() == expected
        counted = page_module._counted(queries, found, queries.now())
        assert counted is not None
        assert (counted.total, counted.as_of) == (len(expected), found.evaluated_at)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("DELETE FROM statesys.missing_message_range")
            assert members() == expected
            connection.execute("DELETE FROM statesys.client WHERE client_id = %s", [expected[0]])
        assert members() == expected[1:]


def test_hostile_text_is_shown_harmlessly_on_each_page_and_csv(
    viewer: Viewer, store: CollectionStore, truth: dict[UUID, str], database_url: str
) -> None:
    assert truth
    rule = "name like '=cmd*<script>alert(1)</script>*'"
    store.create("Bad", rule)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE statesys.client SET name = %s, version = %s", [FORMULA + HOSTILE, HOSTILE]
        )
        connection.execute(
            "UPDATE statesys.collection SET created_by = %s, problem = %s", [HOSTILE, HOSTILE]
        )
    assert rule in shown(viewer, "/collections").text()
    page = shown(viewer, "/collections/bad")
    assert len(page.rows("Members")) == 15
    assert "\\x1b[2J\\u202e" in page.text()
    rows = csv_rows(viewer, "/collections/bad/members.csv")
    assert {row["name"] for row in rows} == {f"'{FORMULA}{printable_text(HOSTILE)}"}
    assert csv_rows(viewer, "/collections.csv")[0]["rule"] == rule


def test_a_rule_of_another_version_is_a_problem_and_no_error(
    viewer: Viewer, store: CollectionStore, truth: dict[UUID, str]
) -> None:
    assert truth
    store.create("Future", "moon = full")
    page = shown(viewer, "/collections/Future")
    assert "this version cannot read the rule" in page.text()
    assert dict(page.rows("The collection"))["members"] == "unknown"
    assert csv_rows(viewer, "/collections/Future/members.csv") == []


def test_a_site_without_collections_says_how_to_make_one(empty_viewer: Viewer) -> None:
    assert "statesys collections create" in shown(empty_viewer, "/collections").text()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/collections/none", 404, "there is no collection 'none'"),
        ("/collections/a%20b", 404, "no name of a collection"),
        ("/collections/none?joined_since=x", 422, "joined_since"),
        ("/collections/none?limit=1001", 422, "limit"),
        ("/collections/none/members.csv", 404, "there is no collection"),
    ],
)
def test_what_cannot_be_asked_is_an_error_page(
    empty_viewer: Viewer, path: str, status: int, words: str
) -> None:
    assert words in shown(empty_viewer, path, status=status).text()
