"""The rules as they are in the file, over hours: promtool computes the time."""

import json
from pathlib import Path

import pytest

from tests.support.prometheus import RULES, promtool

Series = dict[str, str]


def series(name: str, values: str, **labels: str) -> Series:
    """Values of a series, one for each minute, in promtool's notation."""
    every = {"instance": "viewer", "job": "statesys"} | labels
    inner = ", ".join(f'{label}="{value}"' for label, value in every.items())
    return {"series": f"statesys_{name}{{{inner}}}", "values": values}


def queue(values: str, name: str = "mp_relayendpoint") -> Series:
    return series("queue_messages", values, queue=name, state="ready")


def reports(values: str, result: str = "forwarded") -> Series:
    return series("relay_reports_total", values, result=result, reason="")


def workers(running: str, late: str) -> list[Series]:
    return [
        series("workers", values, role="relay", condition=condition)
        for condition, values in (("running", running), ("late", late))
    ]


def queue_time(*values: str) -> list[Series]:
    """The buckets up to a minute, an hour, and all."""
    bounds = ("60.0", "3600.0", "+Inf")
    return [
        series("loader_queue_time_seconds_bucket", one, le=le)
        for one, le in zip(values, bounds, strict=True)
    ]


#: A task with an interval of an hour that was done at minute 0 and never again.
TASK = [
    series("task_last_success_timestamp_seconds", "0x400", task="totals"),
    series("task_interval_seconds", "3600x400", task="totals"),
]
#: Alert, what is scraped, and the minutes at which the alert fires or does not.
CASES = {
    "reports wait and none is settled": (
        "StatesysReportsWait",
        [queue("5x60"), reports("0+20x10 200x50")],
        {10: False, 20: False, 27: True},
    ),
    "reports wait while a relay settles others": (
        "StatesysReportsWait",
        [queue("5x60"), reports("100+20x60")],
        {30: False, 60: False},
    ),
    "a relay settles what waited": (
        "StatesysReportsWait",
        [queue("5x40 0x20"), reports("0+20x10 200x30 205x20")],
        {27: True, 43: False},
    ),
    "refusing is settling": (
        "StatesysReportsWait",
        [queue("5x60"), reports("100x60"), reports("0+1x60", "refused")],
        {30: False},
    ),
    "batches of one priority wait": (
        "StatesysBatchesWait",
        [queue("1x60", "statesys.incoming.low"), series("loader_chunks_total", "0+9x10 90x50")],
        {10: False, 20: False, 27: True},
    ),
    "a worker is lost": (
        "StatesysWorkerLost",
        workers("2x10 1x120", "0x10 1x120"),
        {9: False, 18: True, 90: False},
    ),
    "a lost worker is replaced within minutes": (
        "StatesysWorkerLost",
        workers("2x10 1x2 2x60", "0x10 1x62"),
        {12: False, 20: False, 60: False},
    ),
    "a worker ended in order": (
        "StatesysWorkerLost",
        workers("2x10 1x60", "0x70"),
        {20: False, 60: False},
    ),
    "a task is late": ("StatesysTaskLate", TASK, {180: False, 200: True}),
    "one message in ten takes an hour": (
        "StatesysQueueTimeHigh",
        queue_time("0+90x60", "0+100x60", "0+100x60"),
        {10: False, 25: True},
    ),
    "one message in fifty takes an hour": (
        "StatesysQueueTimeHigh",
        queue_time("0+98x60", "0+100x60", "0+100x60"),
        {25: False, 60: False},
    ),
    "one report in ten is refused": (
        "StatesysManyRefused",
        [reports("0+90x60"), reports("0+10x60", "refused")],
        {8: False, 20: True},
    ),
    "one report in fifty is refused": (
        "StatesysManyRefused",
        [reports("0+98x60"), reports("0+2x60", "refused")],
        {20: False, 60: False},
    ),
    "a site without reports": (
        "StatesysManyRefused",
        [reports("0x60"), reports("0x60", "refused")],
        {20: False, 60: False},
    ),
    "dead letters of quarantined clients": (
        "StatesysDeadLetters",
        [series("dead_letters", "9x60", reason="quarantined")],
        {30: False},
    ),
}


@pytest.mark.parametrize(("alert", "given", "fires"), CASES.values(), ids=CASES.keys())
def test_an_alert_fires_when_it_should(
    tmp_path: Path, alert: str, given: list[Series], fires: dict[int, bool]
) -> None:
    asked = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    expressions = [
        {
            "expr": asked,
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": 1}] if expected else [],
        }
        for minute, expected in fires.items()
    ]
    case = {"interval": "1m", "input_series": given, "promql_expr_test": expressions}
    whole = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}
    file = tmp_path / "test.yml"
    # JSON is YAML.
    file.write_text(json.dumps(whole), encoding="utf-8")
    promtool("test", "rules", str(file))
