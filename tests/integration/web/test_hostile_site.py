"""Every page and file of a site in which every text that others wrote is hostile."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest

from tests.support import conditions
from tests.support.commands import run
from tests.support.pages import FORMULA, HOSTILE, csv_rows, harmless_page
from tests.support.pipeline import Pipeline
from tests.support.viewers import Viewer, viewing
from web import pages

pytestmark = pytest.mark.timeout(240)

#: The texts that clients, workers and people write: columns by table. Others have a closed list.
WRITTEN = {
    "client": ("name", "version", "reply_queue"),
    "current_state": ("topic_id", "user_sid", "details"),
    "state_message": ("topic_id", "user_name", "user_sid", "serial_text", "details"),
    "worker": ("host", "version"),
    "loader": ("name",),
    "collection": ("created_by", "problem"),
    "client_quarantine": ("by", "why"),
    "audit_entry": ("who", "address", "action", "command", "result"),
    "state_totals": ("topic_id",),
}
#: What some pages need in their URL.
NEEDED = {
    **dict.fromkeys(("/resyncs", "/resyncs.csv"), "?state=unanswered"),
    "/clients/{client_id}/serials": "?serial={serial}",
    "/compliance.csv": "?topic_type={topic_type}",
}


@pytest.fixture
def viewer(pipeline: Pipeline) -> Iterator[Viewer]:
    """The viewer of a site at work, after all its texts were spoiled."""
    environment = pipeline.environment
    url = environment["STATESYS_DATABASE_URL"]
    conditions.fill(url)
    pipeline.publish(corrupt=0.2)
    pipeline.work()
    for words in (
        ("collections", "create", "Everybody", "seen <= 90d"),
        ("client", "quarantine", conditions.name(0)),
    ):
        done = run(*words, env=environment)
        assert done.returncode == 0, done.stderr
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = statesys")
        connection.execute(
            "INSERT INTO audit_entry (who, address, action, command, result, failed, ended_at) "
            "VALUES ('w', 'a', 'purge', 'c', 'r', true, now())"
        )
        for table, columns in WRITTEN.items():
            changes = ", ".join(f"{one} = %(bad)s || coalesce({one}, '')" for one in columns)
            connection.execute(f"UPDATE {table} SET {changes}".encode(), {"bad": FORMULA + HOSTILE})
    with viewing(environment) as found:
        yield found


def values_of(viewer: Viewer) -> dict[str, object]:
    """What stands in the paths of pages: a message, its client and topic, a letter."""
    found = viewer.get("/api/v1/messages").data["messages"]
    one = next(one for one in found if one["serial"] is not None)
    return {
        "given": one["client_id"],
        "client_id": one["client_id"],
        "serial": one["serial"],
        "topic_type": one["topic_type"],
        "topic_id": quote(one["topic_id"], safe=""),
        "key": one["key"],
        "entry": "1",
    }


def test_each_page_and_file_shows_hostile_text_harmlessly(viewer: Viewer) -> None:
    paths = [
        route.path
        for router in pages.ROUTERS
        for route in router.routes
        if "GET" in route.methods and route.path != "/live"
    ]
    values = values_of(viewer)
    letter = str(viewer.get("/api/v1/dead").data["letters"][0]["id"])
    told = 0
    for path in paths:
        values["name"] = letter if path.startswith("/dead") else "Everybody"
        filled = re.sub(
            r"{(\w+)(:path)?}", lambda found: str(values[found[1]]), path + NEEDED.get(path, "")
        )
        got = viewer.get(filled)
        if path == "/clients/{client_id}/serials":
            assert got.status == 307
            continue
        assert got.status == 200, (filled, got.status, got.text[:500])
        kind = got.headers["content-type"].split(";")[0]
        if kind == "text/html" and path != "/messages/rows":
            harmless_page(got)
        elif kind == "text/csv":
            assert csv_rows(viewer, filled), filled
        told += "\\x1b[2J\\u202e" in got.text
    # All but the pages that show no text of others.
    assert told > len(paths) / 2
