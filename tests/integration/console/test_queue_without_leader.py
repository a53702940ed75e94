"""A queue without a leader, which looks empty and takes nothing, is named everywhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.devserver import Endpoints, registry
from schemas.topology import REPORTS
from tests.integration.console.conftest import Run
from tests.support.brokers import rabbitmqctl, stop_queue, vhost
from tests.support.viewers import viewing
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(180)


def test_it_is_named_until_an_operator_deletes_it(
    run: Run, environment: dict[str, str], endpoints: Endpoints, server_home: Path
) -> None:
    told = {**environment, "STATESYS_MANAGEMENT_URL": endpoints.management_url}
    services = registry.load(server_home)
    assert services is not None
    assert run("topology", "check", env=told).returncode == 0

    def queues() -> list[dict[str, Any]]:
        status = json.loads(run("status", "--json", env=told).stdout)
        found: list[dict[str, Any]] = status["broker"]["queues"]
        return found

    def found() -> list[str]:
        return [queue["name"] for queue in queues() if queue["available"] is False]

    # From then on, RabbitMQ has old statistics of the queue to show.
    wait_until(lambda: queues()[0]["unacked"] == 0, timeout=60, what="the queue's statistics")
    assert found() == []
    stop_queue(services, told["STATESYS_AMQP_URL"], REPORTS)

    # The broker notices it with its next look at the queue.
    wait_until(lambda: found() == [REPORTS], timeout=60, what="the queue to have no leader")
    words = " ".join(run("status", env=told).stdout.split())
    assert f"critical: 1 queue has no leader, so it takes and gives no message: {REPORTS}" in words
    assert "reports of clients (no leader)" in words
    check = run("topology", "check", env=told)
    assert check.returncode == 3
    assert "has no leader: it takes and gives no message" in check.stdout
    with viewing(told) as viewer:
        assert f"1 queue has no leader, so it takes and gives no message: {REPORTS}" in (
            viewer.get("/").text
        )
        metrics = viewer.get("/metrics").text
    assert f'statesys_queue_available{{queue="{REPORTS}"}} 0.0' in metrics
    assert 'statesys_queue_available{queue="statesys.dead"} 1.0' in metrics

    rabbitmqctl(services, "delete_queue", "-p", vhost(told["STATESYS_AMQP_URL"]), REPORTS)
    assert run("topology", "check", env=told).returncode == 0
    assert found() == []
