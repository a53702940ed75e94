"""`statesys top` names who sends most, in windows whose limits it tells."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import Any
from uuid import UUID

import pytest

from console.queries import query_session
from console.queries.activity import ActivityQueries
from loader.store.activity import ActivityStore
from loader.store.clients import ClientStore
from tests.integration.console.conftest import Run
from tests.support.world import Tables, open_tables

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HOSTILE = '=HYPERLINK("http://x")'
LONG = "n" * 250
#: Later than all moments of the tests.
_LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def tables(database_url: str) -> Iterator[Tables]:
    with open_tables(database_url) as tables:
        yield tables


def client_id(number: int) -> UUID:
    return UUID(int=number, version=4)


class Site:
    """Clients with counters, and snapshots at chosen ages."""

    def __init__(self, tables: Tables, url: str) -> None:
        self._tables = tables
        self._url = url
        self.sent: list[dict[int, int]] = [{}]

    def sends(self, **counts: int) -> None:
        """Clients `c<number>` send so many messages."""
        for name, messages in counts.items():
            number = int(name[1:])
            self._tables.connection.execute(
                "INSERT INTO client AS c (client_id, name, messages) VALUES (%s, %s, %s) "
                "ON CONFLICT (client_id) DO UPDATE SET messages = c.messages + excluded.messages",
                [client_id(number), f"PC{number}", messages],
            )
            self.sent[-1][number] = self.sent[-1].get(number, 0) + messages

    def snapshot(self, hours_ago: float) -> None:
        """Take a snapshot, and say of it that it is so old."""
        with closing(ActivityStore(self._url)) as store:
            taken = store.take_snapshot(now=_LATER + len(self.sent) * HOUR)
        assert taken is not None
        self._tables.connection.execute(
            "UPDATE activity_snapshot SET taken_at = now() - %s "
            "WHERE number = (SELECT max(number) FROM activity_snapshot)",
            [timedelta(hours=hours_ago)],
        )
        self.sent.append({})

    def since(self, snapshots: int) -> dict[UUID, int]:
        """What each client sent since that many snapshots ago."""
        found: dict[UUID, int] = {}
        for counts in self.sent[-snapshots:]:
            for number, messages in counts.items():
                found[client_id(number)] = found.get(client_id(number), 0) + messages
        return found


@pytest.fixture
def site(tables: Tables, database_url: str) -> Site:
    return Site(tables, database_url)


def asked(run: Run, environment: dict[str, str], *arguments: object) -> dict[str, Any]:
    done = run("top", *arguments, "--json", env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_the_client_that_storms_is_first_and_how_many_times_the_median_it_sends(
    run: Run, environment: dict[str, str], site: Site
) -> None:
    """It has stormed for half an hour: seen against the hour, not yet against the day."""
    site.sends(**{f"c{n}": 100 * n for n in range(1, 10)})
    site.snapshot(26)
    for hours_ago in range(23, 0, -1):
        site.sends(**{f"c{n}": 8 for n in range(1, 9)})
        site.snapshot(hours_ago - 0.4)
    site.sends(**{**{f"c{n}": 4 for n in range(1, 9)}, "c3": 5000})
    # The last snapshot is 36 min old, and the day's window begins with the one 22.6 h ago.
    hour, day = site.since(1), site.since(23)
    found = asked(run, environment, "clients")
    assert {UUID(one["client_id"]): one["hour"] for one in found["clients"]} == hour
    assert {UUID(one["client_id"]): one["day"] for one in found["clients"]} == day
    first = found["clients"][0]
    assert (first["client_id"], first["name"]) == (str(client_id(3)), "PC3")
    assert first["hour_times"] == round(hour[client_id(3)] / 4, 1)
    assert first["day_times"] == round(day[client_id(3)] / median_low(day.values()), 1)
    assert found["hour"]["clients"] == len(hour)
    assert found["hour"]["median"] == median_low(hour.values())
    assert found["day"]["messages"] == sum(day.values())
    # In 36 minutes 5,000; in an hour five thirds of it.
    assert first["per_hour"] == pytest.approx(5000 / 0.6, rel=0.02)


def test_repeated_messages_make_a_storm_too(
    run: Run, environment: dict[str, str], tables: Tables, site: Site
) -> None:
    site.sends(c1=3, c2=3, c3=3)
    site.snapshot(0.5)
    tables.connection.execute(
        "UPDATE client SET messages = messages + 900, duplicates = duplicates + 900 "
        "WHERE client_id = %s",
        [client_id(2)],
    )
    (first,) = asked(run, environment, "clients")["clients"]
    assert (UUID(first["client_id"]), first["hour"]) == (client_id(2), 900)


def test_the_order_may_be_the_day_s_and_the_list_is_cut(
    run: Run, environment: dict[str, str], site: Site
) -> None:
    site.snapshot(5)
    site.sends(c1=50, c2=10, c3=20)
    site.snapshot(0.5)
    site.sends(c1=1, c2=2, c4=3)
    by_hour = asked(run, environment, "clients")["clients"]
    assert [one["name"] for one in by_hour] == ["PC4", "PC2", "PC1"]
    by_day = asked(run, environment, "clients", "--by", "day", "--limit", "2")["clients"]
    assert [(one["name"], one["day"], one["hour"]) for one in by_day] == [
        ("PC1", 51, 1),
        ("PC3", 20, 0),
    ]


def test_just_after_a_snapshot_the_window_of_the_hour_is_the_one_before_it(
    run: Run, environment: dict[str, str], site: Site
) -> None:
    site.snapshot(1.1)
    site.sends(c1=60)
    site.snapshot(0.1)
    site.sends(c1=6, c2=1)
    found = asked(run, environment, "clients")
    assert [one["hour"] for one in found["clients"]] == [66, 1]
    assert length(found["hour"]) == pytest.approx(1.1 * 3600, abs=60)


def test_after_a_day_without_loaders_the_window_says_how_long_it_is(
    run: Run, environment: dict[str, str], site: Site
) -> None:
    site.snapshot(72)
    site.sends(c1=60)
    found = asked(run, environment, "clients")
    assert [one["hour"] for one in found["clients"]] == [60]
    assert length(found["hour"]) == pytest.approx(72 * 3600, abs=60)


def test_after_the_clock_was_set_back_nothing_is_said_of_a_rate(
    run: Run, environment: dict[str, str], site: Site, tables: Tables
) -> None:
    site.snapshot(-3)
    tables.connection.execute("UPDATE activity_snapshot SET taken_at = now() + interval '3 h'")
    site.sends(c1=60)
    found = asked(run, environment, "clients")
    assert [(one["hour"], one["per_hour"]) for one in found["clients"]] == [(60, None)]
    assert length(found["hour"]) == 0
    assert "-" in run("top", "clients", env=environment).stdout


def length(window: dict[str, str]) -> float:
    begin, end = (datetime.fromisoformat(window[key]) for key in ("from", "to"))
    return (end - begin).total_seconds()


@pytest.mark.parametrize("what", ["clients", "topics"])
def test_an_empty_site_has_an_empty_list(run: Run, environment: dict[str, str], what: str) -> None:
    found = asked(run, environment, what)
    assert found[what] == []
    done = run("top", what, env=environment)
    assert done.returncode == 0
    assert "0 messages" in done.stderr
    assert " UTC, by the database's clock" in done.stderr


def test_names_of_strangers_do_no_harm(
    run: Run, environment: dict[str, str], tables: Tables, site: Site
) -> None:
    site.sends(c1=3, c2=2, c3=1, c4=1)
    for number, name in ((1, HOSTILE), (2, "a\x1b[31mb\nc"), (3, LONG), (4, HOSTILE)):
        tables.connection.execute(
            "UPDATE client SET name = %s WHERE client_id = %s", [name, client_id(number)]
        )
    text = run("top", "clients", env=environment)
    assert "\x1b" not in text.stdout
    assert LONG in text.stdout
    assert text.stdout.count(HOSTILE) == 2
    done = run("top", "clients", "--csv", env=environment)
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert [row["name"] for row in rows] == [f"'{HOSTILE}", "a\\x1b[31mb\nc", LONG, f"'{HOSTILE}"]
    assert [row["hour"] for row in rows] == ["3", "2", "1", "1"]
    assert all(row["hour_from"] < row["as_of"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("clients", "--limit", "0"), "--limit"),
        (("clients", "--by", "week"), "--by"),
        (("clients", "--csv", "--json"), "exclude each other"),
        (("topics", "--csv", "--json"), "exclude each other"),
        (("topics", "more"), "unexpected extra argument"),
    ],
)
def test_a_wrong_call_is_told(
    run: Run, environment: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    done = run("top", *arguments, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


# -- topics ----------------------------------------------------------------------------------


def test_topics_are_held_against_their_usual_hour(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    """Hour 0 is the running one. Type 301 storms; 500 is as always; 402 is new."""
    ((now,),) = tables.rows("SELECT now()")
    truth = {(301, 1): 4000, (402, 0): 7}
    truth |= {(301, ago): ago for ago in range(30, 60)}
    truth |= {(500, ago): 50 for ago in range(150)}
    add(tables, now, truth)
    found = asked(run, environment, "topics")
    begin = datetime.fromisoformat(found["hour"]["from"])
    ago = round((now.replace(minute=0, second=0, microsecond=0) - begin) / HOUR)
    assert ago == (0 if now.minute >= 15 else 1)
    for one in found["topics"]:
        of_type = {hour: n for (kind, hour), n in truth.items() if kind == one["topic_type"]}
        assert one["hour"] == sum(n for hour, n in of_type.items() if hour <= ago)
        assert one["day"] == sum(n for hour, n in of_type.items() if hour <= 24)
        earlier = [n for hour, n in of_type.items() if hour > ago]
        assert one["usual"] == (median_low(earlier) if earlier else None)
    names = {one["topic_type"]: one["topic_name"] for one in found["topics"]}
    assert set(names) == {301, 402, 500}
    assert sum(one["day_percent"] for one in found["topics"]) == pytest.approx(100, abs=0.3)
    text = run("top", "topics", "--by", "day", env=environment)
    assert names[301] in text.stdout.splitlines()[1]
    rows = csv.DictReader(io.StringIO(run("top", "topics", "--csv", env=environment).stdout))
    assert {int(row["topic_type"]) for row in rows} == set(names)


def test_a_window_of_topics_begins_no_earlier_than_the_counts(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    ((now,),) = tables.rows("SELECT now()")
    add(tables, now, {(500, 2): 5, (500, 0): 1})
    found = asked(run, environment, "topics")
    mark = now.replace(minute=0, second=0, microsecond=0)
    assert datetime.fromisoformat(found["day"]["from"]) == mark - 2 * HOUR


def test_hours_ahead_of_the_clock_are_not_shown(
    run: Run, environment: dict[str, str], tables: Tables
) -> None:
    ((now,),) = tables.rows("SELECT now()")
    add(tables, now, {(500, -5): 5, (500, 0): 1})
    (one,) = asked(run, environment, "topics")["topics"]
    assert (one["hour"], one["day"]) == (1, 1)


def add(tables: Tables, now: datetime, counts: dict[tuple[int, int], int]) -> None:
    """Add counts: (topic type, hours ago) -> messages."""
    mark = now.replace(minute=0, second=0, microsecond=0)
    with tables.connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO topic_activity (hour, topic_type, messages) VALUES (%s, %s, %s)",
            [(mark - ago * HOUR, kind, messages) for (kind, ago), messages in counts.items()],
        )


# -- a large site ----------------------------------------------------------------------------


def test_a_large_site_has_a_list_that_a_loader_keeps_and_it_says_the_same(
    site: Site, database_url: str, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.snapshot(3)
    site.sends(**{f"c{n}": n for n in range(1, 30)})
    site.snapshot(0.5)
    site.sends(**{f"c{n}": 100 * (n % 7) for n in range(1, 40)})
    with ActivityQueries.open(database_url, name="test") as queries:
        live = {by_day: queries.top_clients(by_day=by_day, limit=50) for by_day in (True, False)}
        monkeypatch.setattr(query_session, "COUNTED_BYTES", 0)
        # Nothing is kept yet.
        assert queries.top_clients(by_day=True, limit=50).found == live[True].found
        with closing(ActivityStore(database_url)) as store:
            now = store.now()
            assert store.keep_top(now=now, interval=5 * MINUTE)
            assert not store.keep_top(now=now + MINUTE, interval=5 * MINUTE)
        site.sends(c1=10_000)
        for by_day, before in live.items():
            kept = queries.top_clients(by_day=by_day, limit=50)
            assert (kept.found, kept.typical) == (before.found, before.typical)
            assert (kept.hour.begin, kept.day.begin) == (before.hour.begin, before.day.begin)
            assert kept.hour.end == now
        # More than is kept is asked of the clients themselves.
        assert queries.top_clients(by_day=True, limit=1001).found[0].client_id == client_id(1)
        with closing(ClientStore(database_url)) as clients:
            clients.forget(client_id(6))
        assert tables.rows("SELECT FROM top_client WHERE client_id = %s", client_id(6)) == []
