"""`statesys resync list` lists each request once, by what became of it."""

import csv
import io
import json
from typing import Any

import pytest

from tests.integration.console.conftest import Run
from tests.support.conditions import fill

pytestmark = pytest.mark.timeout(180)


def listed(run: Run, environment: dict[str, str], *words: object) -> dict[str, Any]:
    done = run("resync", "list", *words, "--json", env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_pages_are_the_list(run: Run, environment: dict[str, str], database_url: str) -> None:
    fill(database_url)
    words = ("--state", "unanswered")
    whole = listed(run, environment, *words)["requests"]
    # The three silent clients of the site left three requests each.
    assert len(whole) == 9
    assert {one["closed_how"] for one in whole} == {"unanswered"}
    pages: list[object] = []
    after: list[object] = []
    while True:
        page = listed(run, environment, *words, "--limit", 4, *after)
        pages += page["requests"]
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    assert pages == whole
    rows = list(
        csv.DictReader(io.StringIO(run("resync", "list", *words, "--csv", env=environment).stdout))
    )
    assert [row["request_id"] for row in rows] == [one["request_id"] for one in whole]
    text = run("resync", "list", *words, "--limit", 2, env=environment)
    assert "unanswered" in text.stdout
    assert "2 unanswered as of 20" in text.stderr
    assert "there are more: --after " in text.stderr
    assert listed(run, environment)["requests"] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--state", "nope"], "--state"),
        (["--after", "WzE3XQ"], "is no place in this list"),
        (["--csv", "--json"], "exclude each other"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_listed_is_told(
    run: Run, environment: dict[str, str], words: list[str], told: str
) -> None:
    done = run("resync", "list", *words, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in " ".join(done.stderr.split())
