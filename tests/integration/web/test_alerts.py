"""A real Prometheus scrapes sites under faults: the alerts that should fire do, others do not."""

import json
import math
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
import yaml

from runtime.devserver import Endpoints, registry
from schemas.topology import REPORTS, RESYNC
from tests.support import conditions, own
from tests.support.brokers import stop_queue
from tests.support.pipeline import Pipeline
from tests.support.processes import NORMAL, Program, batches_of, fill, ready
from tests.support.prometheus import (
    MONITORING,
    RANGE,
    RULES,
    Prometheus,
    free_port,
    promtool,
    scraping,
)
from tests.support.samples import Samples
from tests.support.viewers import Viewer, viewing
from tests.support.waiting import wait_until
from tests.support.world import message, report

pytestmark = pytest.mark.timeout(500)

DASHBOARD = MONITORING / "grafana" / "dashboard.json"
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
#: The alerts of a viewer that cannot be reached, and of one whose broker is away.
OF_THE_VIEWER, OF_A_SERVER = {"StatesysMetricsDown"}, {"StatesysServerAway"}
#: A partition of a coming day.
COMING = """
SELECT c.oid::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
    substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \\(''(.*)''\\) TO') AS low
WHERE i.inhparent = 'state_message'::regclass AND low::timestamptz > now()
"""


class Site:
    """A site with its viewer."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment
        self.pipeline = Pipeline(directory / "fleet", environment)
        self.amqp_url = environment["STATESYS_AMQP_URL"]
        self.database_url = environment["STATESYS_DATABASE_URL"]

    def change(self, *statements: str) -> None:
        """Change the tables."""
        options = "-c search_path=statesys"
        with psycopg.connect(self.database_url, autocommit=True, options=options) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def coming(self) -> list[str]:
        """The partitions of the coming days."""
        options = "-c search_path=statesys"
        with psycopg.connect(self.database_url, options=options) as connection:
            return [str(row[0]) for row in connection.execute(COMING.encode())]

    def worker(self, role: str) -> Program:
        """Start a worker that keeps running."""
        log = self.directory / f"{role}.log"
        return Program(
            log,
            role,
            "run",
            home=self.directory / "home",
            amqp_url=self.amqp_url,
            database_url=self.database_url,
        )


@contextmanager
def made(endpoints: Endpoints, template: str, directory: Path) -> Iterator[Site]:
    with own.site(endpoints, template=template, home=directory / "home") as servers:
        yield Site(directory, {**servers, "STATESYS_MANAGEMENT_URL": endpoints.management_url})


def running(viewer: Viewer, *roles: str) -> bool:
    """Whether workers of all these roles are seen."""
    found = Samples(viewer.get("/metrics").text)
    return all(found("workers", role=role, condition="running") for role in roles)


def break_everything(site: Site, viewer: Viewer, services: registry.Services) -> None:
    """All faults that there is an alert for, but those of the viewer and its servers."""
    conditions.fill(site.database_url)
    site.pipeline.publish(corrupt=0.3)
    # Received long ago; then other messages under the same serials; and bytes that are no batch.
    serials = range(1, 101)
    first = [report(*[message(serial, state=1) for serial in serials])]
    again = [report(*[message(serial, state=2) for serial in serials])]
    fill(site.amqp_url, [*batches_of(first), *batches_of(again), b"<no batch"])
    site.pipeline.work()
    stop_queue(services, site.amqp_url, RESYNC)
    with site.worker("loader") as loader:
        wait_until(lambda: running(viewer, "loader"), timeout=120, what="the loader to be seen")
        loader.send(signal.SIGKILL)
        loader.end()
    site.change(
        "UPDATE worker SET seen_at = now() - interval '5 minutes' WHERE ended_at IS NULL",
        "UPDATE duty SET done_at = now() - interval '1 day'",
        "UPDATE missing_message_range SET detected_at = now() - interval '6 days'",
        *(f"DROP TABLE {partition}" for partition in site.coming()),
    )
    site.pipeline.publish()
    fill(site.amqp_url, batches_of(first))
    assert ready(site.amqp_url, REPORTS)
    assert ready(site.amqp_url, NORMAL)


@pytest.fixture(scope="module")
def prometheus(
    endpoints: Endpoints,
    server_home: Path,
    database_template: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """Prometheus after all faults; its targets: faulty, healthy, brokerless, down."""
    with ExitStack() as stack:
        faulty, healthy = (
            stack.enter_context(
                made(endpoints, database_template(), tmp_path_factory.mktemp("site"))
            )
            for _ in range(2)
        )
        healthy.pipeline.publish()
        for role in ("relay", "loader"):
            stack.enter_context(healthy.worker(role))
        viewers = {
            "faulty": stack.enter_context(viewing(faulty.environment)),
            "healthy": stack.enter_context(viewing(healthy.environment)),
        }
        without_broker = {
            **healthy.environment,
            "STATESYS_AMQP_URL": "amqp://x:x@127.0.0.1:1/%2F",
            "STATESYS_MANAGEMENT_URL": "http://x:x@127.0.0.1:1",
        }
        viewers["brokerless"] = stack.enter_context(viewing(without_broker))
        wait_until(
            lambda: running(viewers["healthy"], "relay", "loader"),
            timeout=120,
            what="the workers to be seen",
        )
        targets = {name: viewer.address for name, viewer in viewers.items()}
        targets["down"] = f"127.0.0.1:{free_port()}"
        found = stack.enter_context(scraping(tmp_path_factory.mktemp("prometheus"), targets))
        wait_until(
            lambda: len(found.ask("statesys_workers")) == 3 * 4,
            timeout=60,
            what="the first scrape of each viewer",
        )
        services = registry.load(server_home)
        assert services is not None
        break_everything(faulty, viewers["faulty"], services)
        yield found


def fires(prometheus: Prometheus, instance: str, expected: set[str]) -> None:
    """Wait until these alerts have fired; others must not have."""
    wait_until(
        lambda: expected <= prometheus.fired(instance),
        timeout=120,
        what=f"the alerts of {instance}, of {sorted(expected)}",
    )
    assert prometheus.fired(instance) == expected


def test_promtool_accepts_the_rules_and_the_configuration() -> None:
    assert f"SUCCESS: {len(ALERTS) + 4} rules found" in promtool("check", "rules", str(RULES))
    promtool("check", "config", str(MONITORING / "prometheus.yml"))


def test_each_fault_fires_its_alert(prometheus: Prometheus) -> None:
    fires(prometheus, "faulty", ALERTS.keys() - OF_THE_VIEWER - OF_A_SERVER)
    fires(prometheus, "down", OF_THE_VIEWER)
    fires(prometheus, "brokerless", OF_A_SERVER)


def test_no_alert_fires_for_a_site_that_works(prometheus: Prometheus) -> None:
    assert prometheus.ask('statesys_up{instance="healthy", server="broker"} == 1')
    assert prometheus.fired("healthy") == set()


def expressions() -> Iterator[tuple[str, str]]:
    """Name and text of each expression of the dashboard, and of each recording rule."""
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$instance", ".*")
            yield f"{panel['title']} {target['refId']}", text.replace("$__rate_interval", RANGE)
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            if "record" in rule:
                yield rule["record"], rule["record"]


@pytest.mark.parametrize(
    "expression", [pytest.param(text, id=name) for name, text in expressions()]
)
def test_every_expression_finds_data(prometheus: Prometheus, expression: str) -> None:
    found = prometheus.ask(f"max_over_time(({expression})[10m:5s])")
    assert any(not math.isnan(one.value) for one in found)


def test_no_name_of_a_metric_is_used_that_the_viewer_does_not_tell(prometheus: Prometheus) -> None:
    told = set(prometheus.get("label/__name__/values"))
    text = DASHBOARD.read_text(encoding="utf-8") + RULES.read_text(encoding="utf-8")
    used = set(re.findall(r"\bstatesys_[a-z_]+", text))
    assert used
    assert used <= told
