"""A Prometheus for one test, which scrapes viewers of the test; and promtool."""

import json
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode

import yaml

from tests.support.paths import ROOT
from tests.support.waiting import wait_until

MONITORING = ROOT / "deploy" / "monitoring"
RULES = MONITORING / "rules.yml"
#: Every range of the expressions, in the tests. The viewer keeps its numbers for 5 s, so a much
#: shorter one would see no change.
RANGE = "40s"


class Series(NamedTuple):
    """One series of an answer."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """The API of a running Prometheus."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **values: str) -> Any:
        """The data of an answer; None while there is none."""
        query = f"{self._url}/api/v1/{path}?{urlencode(values)}"
        try:
            with urllib.request.urlopen(query, timeout=10) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
                # It is still starting.
                return None
            raise AssertionError(error.read().decode()) from None
        except OSError:
            # It does not listen yet.
            return None

    def ask(self, expression: str) -> list[Series]:
        """The series of an expression, now."""
        found = self.get("query", query=expression) or {"result": []}
        return [Series(one["metric"], float(one["value"][1])) for one in found["result"]]

    def fired(self, instance: str) -> set[str]:
        """The names of the alerts that fired for a target, up to now."""
        found = self.ask(f'max_over_time(ALERTS{{alertstate="firing", instance="{instance}"}}[1h])')
        return {one.labels["alertname"] for one in found}


@contextmanager
def scraping(directory: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """Run Prometheus with the project's rules; each is quicker to fire than in the file.

    Args:
        directory: of its files.
        targets: host and port by the name that the label `instance` gets.
    """
    (directory / "rules.yml").write_text(quick(RULES.read_text(encoding="utf-8")), "utf-8")
    ours = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
    ours["global"] = {"scrape_interval": "5s", "evaluation_interval": "1s"}
    (job,) = ours["scrape_configs"]
    # A busy machine is slow to answer; two scrapes in a row do not fail for that.
    job["scrape_timeout"] = "5s"
    job["static_configs"] = [
        {"targets": [address], "labels": {"instance": name}} for name, address in targets.items()
    ]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(ours), "utf-8")
    port = free_port()
    with (directory / "prometheus.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        made = Prometheus(port)
        wait_until(lambda: made.get("targets"), timeout=60, what="Prometheus to answer")
        yield made
    finally:
        process.terminate()
        process.wait(30)


def quick(text: str) -> str:
    """Expressions and waits of rules in seconds instead of minutes and hours."""
    return re.sub(r"\[\d+[mh]\]", f"[{RANGE}]", re.sub(r"for: \d+[mh]", "for: 8s", text))


def promtool(*arguments: str, given: str = "") -> str:
    """Run promtool, which must be content; returns what it wrote."""
    done = subprocess.run(
        ["promtool", *arguments], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
