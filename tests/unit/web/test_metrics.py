"""What a scrape tells, from numbers: bounded labels, and every series from the beginning."""

import json
import re
import threading
from collections.abc import Iterator

import pytest
import yaml
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from console.queries.workers import WorkerCount
from console.status.gather import DeadLetterCount
from schemas.refusal import Reason
from tests.support.paths import ROOT
from tests.support.samples import Samples
from web.metrics.families import families
from web.metrics.letters import DeadLetters
from web.metrics.measuring import Measured
from web.metrics.throttled import Throttled
from web.metrics.work import work_families

MONITORING = ROOT / "deploy" / "monitoring"


class Told(Collector):
    """Some families."""

    def __init__(self, *found: Metric) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        return iter(self._found)


def samples(*found: Metric) -> Samples:
    return Samples(generate_latest(Told(*found)).decode())


def test_a_site_without_workers_has_every_counter_at_zero() -> None:
    found = samples(*work_families([], []))
    assert found("relay_reports_total", result="forwarded", reason="") == 0
    for reason in Reason:
        result = "quarantined" if reason is Reason.QUARANTINED else "refused"
        assert found("relay_reports_total", result=result, reason=reason) == 0
    for verdict in ("new", "late", "reused", "duplicate", "poison", "unknown"):
        assert found("loader_messages_total", verdict=verdict) == 0
    assert found("loader_queue_time_seconds_bucket", le="+Inf") == 0


def test_reasons_that_are_not_known_here_are_one() -> None:
    counts = [WorkerCount("relay", f"refused.{name}", 2) for name in ("bad_date", "new", "x")]
    found = samples(*work_families([], counts))
    assert found.by("relay_reports_total", "reason") == {"bad_date": 2, "unknown": 4}


def test_hostile_reasons_of_dead_letters_are_one() -> None:
    names = ("bad_date", 'x"} 1\n', "\x1b[31m", "delivery_limit")
    dead = DeadLetters([DeadLetterCount("relay", name, 1) for name in names], cut=False)
    found = samples(*families(Measured(None, None), dead))
    assert found.by("dead_letters", "reason") == {
        "bad_date": 1,
        "delivery_limit": 1,
        "unknown": 2,
    }


def test_servers_that_are_away_leave_what_is_known() -> None:
    found = samples(*families(Measured(None, None), None))
    assert {labels["server"]: value for labels, value in found.of("up")} == {
        "broker": 0,
        "database": 0,
    }
    assert found.names == {"statesys_up", "statesys_build_info"}


# -- the cache -----------------------------------------------------------------------------------


def test_many_who_ask_at_once_get_what_was_found_once() -> None:
    calls: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def find() -> int:
        calls.append(1)
        begun.set()
        assert go_on.wait(60)
        return len(calls)

    cached = Throttled(find, seconds=3600)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(cached())) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert found == [1] * 8
    assert calls == [1]


def test_an_old_value_is_found_anew() -> None:
    values = iter(range(9))
    cached = Throttled(lambda: next(values), seconds=0)
    first = cached()
    assert any(cached() > first for _ in range(1000))


def test_what_raises_is_not_kept() -> None:
    answers = iter([None, 7])

    def find() -> int:
        answer = next(answers)
        if answer is None:
            raise ValueError
        return answer

    cached = Throttled(find, seconds=3600)
    with pytest.raises(ValueError):  # noqa: PT011 (its own)
        cached()
    assert cached() == cached() == 7


# -- deploy/monitoring ---------------------------------------------------------------------------


def alerts() -> list[dict[str, str | dict[str, str]]]:
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_each_alert_has_a_section_in_the_runbook_and_each_section_an_alert() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert sections == [alert["alert"] for alert in alerts()]
    for part in page.split("\n## ")[1:]:
        for word in ("**Means.**", "**Look.**", "**Do.**", "```sh"):
            assert word in part, part


def test_each_alert_says_how_bad_it_is_and_what_to_read() -> None:
    for alert in alerts():
        labels, notes = alert["labels"], alert["annotations"]
        assert isinstance(labels, dict)
        assert isinstance(notes, dict)
        assert labels["severity"] in {"critical", "warning"}
        assert notes["summary"].endswith(".")
        assert notes["runbook_url"] == f"docs/runbook.md#{str(alert['alert']).lower()}"


def test_each_panel_of_the_dashboard_says_what_it_shows() -> None:
    board = json.loads((MONITORING / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert panels
    assert all(panel["description"].endswith(".") and panel["targets"] for panel in panels)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
