"""Each question of docs/questions.md has its page, held against a hostile fleet's truth."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest

from console.completeness import sentence
from console.names import state_name
from console.queries import Queries
from loader.store.collections import CollectionStore
from loader.tasks import COLLECTION_INTERVAL
from runtime.devserver import Endpoints
from tests.support import own
from tests.support.agreement import Site as Rules
from tests.support.pages import csv_rows, pages, shown
from tests.support.paths import ROOT
from tests.support.pipeline import Pipeline
from tests.support.viewers import Viewer, viewing

#: The cell of a row that has the id: the last one.
_ID = -1
_SECTIONS = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8").split("\n## ")[1:]


class Client(NamedTuple):
    """What the tables say of a client.

    Attributes:
        states: topic type -> its states.
    """

    name: str
    last_seen: datetime
    condition: str
    states: dict[int, set[int]]


class Site(NamedTuple):
    """A viewer, and the truth about what it shows."""

    viewer: Viewer
    url: str
    clients: dict[UUID, Client]

    def in_condition(self, condition: str) -> set[UUID]:
        return {one for one, client in self.clients.items() if client.condition == condition}

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            connection.execute("SET search_path = statesys")
            return connection.execute(sql.encode()).fetchall()


@pytest.fixture(scope="module")
def site(endpoints: Endpoints, hostile: Pipeline) -> Iterator[Site]:
    """The hostile fleet's site, of which a third went quiet and one client sends very much."""
    name = own.name_of(hostile.environment["STATESYS_DATABASE_URL"])
    with own.database(endpoints, template=name) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET search_path = statesys")
            ids = [one for (one,) in connection.execute("SELECT client_id FROM client ORDER BY 1")]
            connection.execute(
                "UPDATE client SET last_seen = now() - interval '8 days' "
                "WHERE client_id = ANY (%s)",
                [ids[::3]],
            )
            connection.execute(
                "UPDATE client SET messages = messages + 100000 WHERE client_id = %s", [ids[1]]
            )
        with closing(CollectionStore(url, name="test")) as store:
            store.create("Told", "any(state(500) = 1, state(500) = 2)", replace=False)
            assert store.evaluate_next(now=store.now(), interval=COLLECTION_INTERVAL)
        with viewing({**hostile.environment, "STATESYS_DATABASE_URL": url}) as viewer:
            yield Site(viewer, url, _truth(url))


def _truth(url: str) -> dict[UUID, Client]:
    states: defaultdict[UUID, defaultdict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    with Rules.open(url) as rules:
        conditions = rules.told(rules.queries.now()).conditions
        told = rules.tables.rows("SELECT client_id, topic_type, state_id FROM current_state")
        rows = rules.tables.rows("SELECT client_id, name, last_seen FROM client")
    for client, topic_type, state in told:
        states[client][topic_type].add(state)
    return {
        client: Client(name, seen, conditions[client], states[client])
        for client, name, seen in rows
    }


def listed(site: Site, path: str, region: str) -> set[UUID]:
    """The clients of a list, all its pages; none is listed twice."""
    found = [UUID(row[_ID]) for page in pages(site.viewer, path) for row in page.rows(region)]
    assert len(found) == len(set(found)), found
    return set(found)


def test_every_question_has_its_pages(site: Site) -> None:
    name = next(iter(site.clients.values())).name
    for section in _SECTIONS:
        (line,) = re.findall(r"^In the viewer: (.*)", section, re.MULTILINE)
        paths = re.findall(r"`(/[^`]*)`", line)
        assert paths, section
        for path in (one.replace("NB-000017", name).replace("Waiting", "Told") for one in paths):
            # Without a login nobody may act, so there is no page to act on.
            expected = {403, 404} if path == "/actions" else {200, 307}
            assert site.viewer.get(path).status in expected, path


def test_which_clients_stopped_reporting(site: Site) -> None:
    quiet = site.in_condition("quiet")
    assert quiet
    for path in ("/clients?condition=quiet&sort=seen", "/clients?condition=quiet&limit=3"):
        assert listed(site, path, "Clients") == quiet
    week_ago = datetime.now(UTC) - timedelta(days=7)
    stale = {one for one, client in site.clients.items() if client.last_seen < week_ago}
    assert listed(site, "/clients?stale=7d", "Clients") == stale
    assert quiet <= stale


def test_which_clients_share_an_identity(site: Site) -> None:
    found = listed(site, "/clients?condition=duplicate+identity", "Clients")
    assert found == site.in_condition("duplicate identity")


def test_how_fresh_is_this_number_and_of_how_many_clients_everything_is_there(site: Site) -> None:
    counts = Counter(client.condition for client in site.clients.values())
    with Queries.open(site.url, name="test") as queries:
        completeness = queries.completeness(now=queries.now())
    assert {name: n for name, n in completeness.clients.items() if n} == counts
    about = sentence(completeness, completeness.as_of).partition("; as of")[0]
    for path in ("/clients", "/clients?condition=gaps", "/topics", "/topics/500", "/top"):
        page = shown(site.viewer, path)
        assert about in page.text("//p[@class='completeness']"), path
        assert re.search(r"As of 20\d\d-\d\d-\d\d", page.text("//footer")), path


def test_give_me_exactly_this_list_as_csv(site: Site) -> None:
    for condition in ("gaps", "quiet", "complete"):
        rows = csv_rows(site.viewer, f"/clients.csv?condition={condition}&name=*")
        assert {UUID(row["client_id"]) for row in rows} == site.in_condition(condition)


def test_which_clients_are_in_which_state_and_which_have_never_told(site: Site) -> None:
    kinds = {kind for client in site.clients.values() for kind in client.states}
    for kind in sorted(kinds)[:4]:
        in_state: defaultdict[int, set[UUID]] = defaultdict(set)
        for one, client in site.clients.items():
            for state in client.states.get(kind, ()):
                in_state[state].add(one)
        page = shown(site.viewer, f"/topics/{kind}")
        counted = {row[0]: int(row[2].replace(",", "")) for row in page.rows("Clients by state")}
        for state, clients in in_state.items():
            name = state_name(kind, state)
            (count,) = [n for shown_as, n in counted.items() if shown_as.endswith(name)]
            assert count == len(clients), (kind, state)
            path = f"/topics/{kind}?state={state}"
            assert listed(site, path, "Clients in the state") == clients
        never = {one for one, client in site.clients.items() if not client.states.get(kind)}
        assert listed(site, f"/topics/{kind}?state=never", "Clients in the state") == never


def test_who_is_in_a_collection(site: Site) -> None:
    members = {
        one for one, client in site.clients.items() if client.states.get(500, set()) & {1, 2}
    }
    assert members
    assert listed(site, "/collections/Told", "Members") == members
    rows = csv_rows(site.viewer, "/collections/Told/members.csv")
    assert {UUID(row["id"]) for row in rows} == members


def test_what_is_missing_and_who_is_asked(site: Site) -> None:
    open_ranges = site.rows(
        "SELECT c.name, first_serial, last_serial FROM missing_message_range "
        "JOIN client c USING (client_id) WHERE closed_at IS NULL"
    )
    assert open_ranges
    told = []
    for page in pages(site.viewer, "/gaps?limit=7"):
        for name, serials, *_ in page.rows("Missing ranges"):
            first, *last = map(int, re.findall("[0-9]+", serials))
            told.append((name, first, *(last or [first])))
    assert sorted(told) == sorted(open_ranges)
    requests = site.rows("SELECT request_id FROM resync_request WHERE closed_at IS NULL")
    assert listed(site, "/resyncs", "Resync requests") == {one for (one,) in requests}


def test_who_floods_us(site: Site) -> None:
    (flood,) = [
        name for (name,) in site.rows("SELECT name FROM client ORDER BY messages DESC LIMIT 1")
    ]
    for path in ("/top", "/top?by=day"):
        page = shown(site.viewer, path)
        rows = page.rows("Clients that send most")
        assert rows[0][0] == flood
        assert int(rows[0][2].replace(",", "")) >= 100_000
        assert len(rows) == min(20, len(site.clients))
    (found, *_) = csv_rows(site.viewer, "/top/clients.csv?by=day&limit=1")
    assert found["name"] == flood


def test_is_the_backlog_growing_and_how_long_is_it_kept(site: Site) -> None:
    ((messages, first),) = site.rows(
        "SELECT count(*), min(loaded_at AT TIME ZONE 'UTC')::date FROM state_message"
    )
    page = shown(site.viewer, "/")
    rows = {row[0]: row[1] for row in page.rows("Table of the flow")}
    assert rows["mp_relayendpoint"] == "0"
    assert rows["database"] == f"{messages:,}"
    facts = {row[0]: row[1] for row in shown(site.viewer, "/pipeline").rows("Database")}
    assert str(first) in " ".join(facts.values())


def test_which_settings_are_in_force(site: Site) -> None:
    with Rules.open(site.url) as rules:
        in_force = rules.store.rules()
    rows = {row[0]: row[1] for row in shown(site.viewer, "/pipeline").rows("Rules of the site")}
    assert rows["resyncs_per_check"].replace(",", "") == str(in_force.resyncs_per_check)
    assert set(rows) == set(in_force._fields)


def test_what_does_this_code_mean(site: Site) -> None:
    page = shown(site.viewer, "/topics/500")
    for line in page.rows("Clients by state"):
        assert line[0]
    states = {state for one in site.clients.values() for state in one.states.get(500, ())}
    text = page.text()
    assert all(state_name(500, state) in text for state in states)
