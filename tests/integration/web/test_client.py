"""The pages of one client say what the tables and the fleet's own store say, client by client."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

import psycopg
import pytest

from console.dead.box import Box
from console.dead.search import letters_of
from console.queries import Queries
from console.trace.gather import serial_of_database
from console.trace.places import Place
from console.why.facts import BrokerFacts, Topic, facts_of_database
from console.why.verdict import Answer, answer
from producers.store import StoreReader
from runtime.broker import Administration
from runtime.printable import printable_text
from schemas.report import Claim, Report
from tests.integration.console.conftest import lossy
from tests.integration.console.test_why import VERDICTS
from tests.support.agreement import Site as Rules
from tests.support.answers import ALLOWED
from tests.support.conditions import client_id, fill, name
from tests.support.pages import FORMULA, HOSTILE, Shown, csv_rows, pages, shown, spoil
from tests.support.pipeline import Pipeline
from tests.support.viewers import Viewer, viewing
from tests.support.world import CLIENT, START, chunk_store, load, message, report

__all__ = ["lossy"]

OTHER = UUID("22222222-2222-4222-8222-222222222222")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
Send = Callable[..., None]


@pytest.fixture
def send(database_url: str) -> Iterator[Send]:
    """Load reports as if they had been rendered and received just now."""
    store = chunk_store(database_url)

    def send(*reports: Report, at: datetime | None = None) -> None:
        at = at or datetime.now(UTC)
        load(store, *(one._replace(date=at) for one in reports), received_at=at)

    with closing(store):
        yield send


def verdict(page: Shown) -> str:
    return page.text("//p[@class='verdict']/strong")


def condition(page: Shown) -> str:
    return page.text("//p[@class='verdict']/span")


def of_places(page: Shown) -> dict[str, tuple[int, list[tuple[int, int]]]]:
    """What became of serials -> how many, and the ranges."""
    found = {}
    for place, count, ranges in page.rows("Serials by what became of them"):
        runs = [run.partition("-") for run in ranges.split(", ") if run]
        found[place] = (
            int(count.replace(",", "")),
            [(int(first), int(last or first)) for first, _, last in runs],
        )
    return found


def in_place(page: Shown, serial: int) -> str:
    (found,) = [
        place
        for place, (_, ranges) in of_places(page).items()
        if any(first <= serial <= last for first, last in ranges)
    ]
    return found


# -- the verdict -----------------------------------------------------------------------------


def test_a_client_in_each_condition_has_the_verdict_of_it(
    viewer: Viewer, database_url: str
) -> None:
    for client, known in fill(database_url).items():
        page = shown(viewer, f"/clients/{client}")
        assert (verdict(page), condition(page)) == (VERDICTS[known], known)
        assert "As of 20" in page.text("//footer")
        assert f"statesys why {client}" in page.text("//footer")


def test_every_client_of_a_lossy_fleet_is_told_what_its_store_says(lossy: Pipeline) -> None:
    with StoreReader(lossy.fleet) as store:
        clients = [one.client_id for one in store.clients()]
        faults = [f for f in store.injected() if f.fault in ("loss", "corrupt")]
    seen = set()
    with viewing(lossy.environment) as viewer:
        for client in clients:
            own = [f for f in faults if f.client_id == client]
            page = shown(viewer, f"/clients/{client}")
            refused = any(fault.fault == "corrupt" for fault in own)
            lacking = "dead letter" if refused else "missing"
            assert verdict(page) == (lacking if own else "current")
            lost = {s for f in own for s in range(f.first_serial, f.last_serial + 1)}
            count, ranges = of_places(page)["missing"]
            assert {s for a, b in ranges for s in range(a, b + 1)} == lost
            assert count == len(lost)
            rows = page.rows("Missing ranges")
            assert sum(int(row[1]) for row in rows) == len(lost)
            seen.add(bool(own))
    assert seen == {True, False}


def test_every_client_of_a_hostile_fleet_is_told_what_rules_and_tables_say(
    hostile: Pipeline,
) -> None:
    url = hostile.environment["STATESYS_DATABASE_URL"]
    with Rules.open(url) as site:
        conditions = site.told(site.queries.now()).conditions
    with Administration(hostile.environment["STATESYS_AMQP_URL"], name="test") as admin:
        letters = list(Box(admin).look())

    def told(client: UUID, topic: Topic | None) -> Answer:
        facts = facts_of_database(queries, client, topic)
        return answer(replace(facts, broker=BrokerFacts(letters_of(letters, client))))

    seen = set()
    with viewing(hostile.environment) as viewer, Queries.open(url, name="test") as queries:
        for client, known in conditions.items():
            page = shown(viewer, f"/clients/{client}")
            said = told(client, None)
            assert condition(page) == known
            assert verdict(page) == said.verdict
            assert verdict(page) in {*ALLOWED[known], "dead letter"}
            for state in queries.states(client)[:3]:
                topic = Topic(state.topic_type, state.topic_id)
                path = f"/clients/{client}/why/{topic[0]}/{quote(state.topic_id, safe='')}"
                assert path in page.links("Current states")
                said = told(client, topic)
                assert verdict(shown(viewer, path)) == said.verdict
            seen.add(verdict(page))
    assert len(seen) >= 3, seen


def test_the_strip_has_each_serial_where_trace_finds_it(hostile: Pipeline) -> None:
    url = hostile.environment["STATESYS_DATABASE_URL"]
    seen = set()
    with viewing(hostile.environment) as viewer, Queries.open(url, name="test") as queries:
        for client in sorted(_clients(url)):
            page = shown(viewer, f"/clients/{client}")
            found = of_places(page)
            for place, (_, ranges) in found.items():
                for serial in {s for run in ranges[:2] for s in run}:
                    said = serial_of_database(queries, client, serial).verdict
                    if place == Place.REUSED:
                        assert "used twice" in said, said
                    elif place == Place.MISSING:
                        assert said.startswith("missing"), said
                    else:
                        assert (place, said.split()[0]) == (Place.RECEIVED, "loaded")
                    traced = shown(viewer, f"/clients/{client}/serials/{serial}")
                    # Trace of the database alone does not see what lies in a dead letter.
                    found_in = verdict(traced).startswith("in a dead letter")
                    assert verdict(traced) == said or (place == Place.MISSING and found_in)
                    seen.add(place)
    assert {Place.REUSED, Place.MISSING, Place.RECEIVED} <= seen


def _clients(url: str) -> list[UUID]:
    with psycopg.connect(url) as connection:
        return [one for (one,) in connection.execute("SELECT client_id FROM statesys.client")]


def test_what_a_resync_overtook_is_told_by_strip_trace_and_why(viewer: Viewer, send: Send) -> None:
    send(report(message(1, topic="t1"), message(3, topic="t2")))
    request = uuid4()
    head = message(4, topic_type=700, topic=str(request))
    send(report(head, message(5, topic="t2"), claim=Claim(request, 4, 5)))
    page = shown(viewer, f"/clients/{CLIENT}")
    assert verdict(page) == "current"
    assert of_places(page) == {
        "received": (2, [(4, 5)]),
        "overtaken by a resync": (3, [(1, 3)]),
        "missing": (0, []),
        "used twice": (0, []),
        "not known yet": (0, []),
    }
    assert verdict(shown(viewer, f"/clients/{CLIENT}/why/500/t1")) == "overtaken"
    assert verdict(shown(viewer, f"/clients/{CLIENT}/why/500/t2")) == "current"
    assert verdict(shown(viewer, f"/clients/{CLIENT}/serials/2")).startswith("overtaken")
    assert verdict(shown(viewer, f"/clients/{CLIENT}/serials/1")).startswith("loaded at")
    (request_row,) = page.rows("Resync requests")
    assert request_row[0] == str(request)
    assert request_row[5] == "4-5"


def test_a_serial_that_never_came_is_told_by_what_the_server_knows(
    viewer: Viewer, send: Send
) -> None:
    send(report(message(1), message(4)))
    told = {
        1: "loaded at",
        2: "missing: in an open missing range",
        5: "never heard of: above the client's highest serial 4",
        2**63 - 2: "never heard of",
    }
    for serial, words in told.items():
        assert verdict(shown(viewer, f"/clients/{CLIENT}/serials/{serial}")).startswith(words)
    for other in (0, -1, 2**63 - 1, "x"):
        assert viewer.get(f"/clients/{CLIENT}/serials/{other}").status == 422
    got = viewer.get(f"/clients/{CLIENT}/serials?serial=4")
    assert (got.status, got.headers["location"]) == (307, f"/clients/{CLIENT}/serials/4")
    assert shown(viewer, f"/clients/{OTHER}/serials/1").text().count("never heard of") == 1


def test_any_number_of_ranges_is_drawn_with_few_boxes(viewer: Viewer, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO statesys.client (client_id, highest_serial, accounted) VALUES (%s, %s, "
            "(SELECT range_agg(int8range(n * 1000, n * 1000 + 999)) "
            "FROM generate_series(1, 5000) n))",
            [CLIENT, 9_000_000_000_000_000_000],
        )
        connection.execute(
            "INSERT INTO statesys.missing_message_range (client_id, first_serial, last_serial, "
            "detected_at) SELECT %s, n * 1000 + 999, n * 1000 + 999, now() "
            "FROM generate_series(1, 999) n",
            [CLIENT],
        )
    got = viewer.get(f"/clients/{CLIENT}")
    page = shown(viewer, f"/clients/{CLIENT}")
    assert 3 <= got.text.count('height="24"') < 1000
    assert len(got.text) < 200_000
    assert len(page.rows("Missing ranges")) == 100
    assert "And 899 more" in page.text()


# -- states ----------------------------------------------------------------------------------


def test_states_come_page_by_page_and_all_of_them_as_csv(viewer: Viewer, send: Send) -> None:
    topics = sorted(["", " lead", "{A/B}", "a%2Fb", *(f"t{n:02}" for n in range(20))])
    send(report(*(message(n, topic=topic) for n, topic in enumerate(topics, 1))))
    listed = list(pages(viewer, f"/clients/{CLIENT}?limit=7"))
    states = [row[1] for page in listed for row in page.rows("Current states")]
    assert len(listed) == 4
    expected = {(topic.strip() or "(empty)") for topic in topics}
    assert len(states) == len(topics)
    assert set(states) == expected
    rows = csv_rows(viewer, f"/clients/{CLIENT}/states.csv")
    assert sorted(row["topic_id"] for row in rows) == topics
    for topic in topics:
        path = f"/clients/{CLIENT}/why/500/{quote(topic, safe='')}"
        assert verdict(shown(viewer, path)) == "current"
    assert "topic 500" in shown(viewer, f"/clients/{CLIENT}/why/500").text()
    assert verdict(shown(viewer, f"/clients/{CLIENT}/why/500/other")) == "never reported"


def test_a_state_has_its_name_since_when_it_is_and_when_the_client_was_seen(
    viewer: Viewer, send: Send
) -> None:
    send(report(message(1, topic_type=301, topic="d", state=6, minute=3)))
    (row,) = shown(viewer, f"/clients/{CLIENT}").rows("Current states")
    assert row[0] == "301 STATE_TOPICTYPE_SUM_ASSIGNMENT_ENFORCEMENT"
    assert row[3] == "6 Failed to install update(s)"
    assert row[4] == f"{START + 3 * MINUTE:%Y-%m-%d %H:%M:%S}"
    assert row[6].startswith("20")


def test_from_the_list_three_clicks_lead_to_why(viewer: Viewer, send: Send) -> None:
    send(report(message(1, topic="t1"), message(3, topic="t3")))
    page = shown(viewer, "/clients")
    (client,) = page.links("Clients")
    page = shown(viewer, client)
    why = page.link("why")
    assert why is not None
    page = shown(viewer, why)
    assert verdict(page) == "missing"
    assert "may be a newer state" in page.text("//p[@class='verdict']")


# -- who -------------------------------------------------------------------------------------


def test_a_name_leads_to_the_id_and_several_of_one_name_to_a_choice(
    viewer: Viewer, database_url: str
) -> None:
    truth = fill(database_url)
    one = client_id(9)
    for given in (name(9), name(9).upper(), f"GUID:{one}", f"{{{one}}}", str(one).upper()):
        got = viewer.get(f"/clients/{given}")
        assert (got.status, got.headers["location"]) == (307, f"/clients/{one}")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE statesys.client SET name = 'Twin'")
    page = shown(viewer, "/clients/tWIN", status=300)
    assert {row[0] for row in page.rows("Machines of this name")} == {str(c) for c in truth}


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("no-such-pc", 404),
        ("GUID:no", 400),
        ("%00", 400),
        ("%ff", 404),
        ("a%09b", 400),
        ("x" * 600, 400),
        (f"{CLIENT}/history", 404),
        ("no-id/history", 422),
        ("no-id/states.csv", 422),
        (f"{CLIENT}/why/x", 422),
        (f"{CLIENT}/why/{2**31}", 422),
        (f"{CLIENT}/why/301/%00", 422),
        (f"{CLIENT}/why/301/{'x' * 513}", 422),
        (f"{CLIENT}?after_type=x", 422),
        (f"{CLIENT}?after_topic=%00&after_type=1", 422),
        (f"{CLIENT}?nonsense=1", 422),
        (f"{CLIENT}/history?after_digest=zz", 422),
        (f"{CLIENT}/history?limit=0", 422),
    ],
)
def test_what_cannot_be_asked_is_an_error_page(
    empty_viewer: Viewer, given: str, status: int
) -> None:
    shown(empty_viewer, f"/clients/{given}", status=status)


def test_a_client_that_the_server_never_heard_of_is_answered(empty_viewer: Viewer) -> None:
    page = shown(empty_viewer, f"/clients/{OTHER}", status=404)
    assert verdict(page) == "unknown client"
    assert verdict(shown(empty_viewer, f"/clients/{OTHER}/why/301/x")) == "unknown client"


# -- hostile text ----------------------------------------------------------------------------


def test_hostile_text_is_shown_harmlessly_on_each_page_and_csv(
    viewer: Viewer, send: Send, database_url: str
) -> None:
    send(report(message(1, topic="t1", topic_type=301), message(3, topic="t3")))
    spoil(database_url, CLIENT)
    topic = quote(f"t1{HOSTILE}", safe="")
    for path in (
        "",
        "/history",
        "/history?changes=true",
        "/why/301",
        f"/why/301/{topic}",
        "/serials/1",
    ):
        page = shown(viewer, f"/clients/{CLIENT}{path}")
        assert "\\x1b[2J\\u202e" in page.text(), path
        assert "<script>alert(1)</script>" in page.text(), path
    assert verdict(shown(viewer, f"/clients/{CLIENT}/why/301/{topic}")) == "missing"
    for path in ("states.csv", "history.csv"):
        rows = csv_rows(viewer, f"/clients/{CLIENT}/{path}")
        assert {row["user_sid"] for row in rows} == {f"'{FORMULA}{printable_text(HOSTILE)}"}
        assert {row["topic_id"] for row in rows} == {
            f"{one}{printable_text(HOSTILE)}" for one in ("t1", "t3")
        }
