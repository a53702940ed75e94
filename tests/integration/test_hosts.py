"""Workers and clients with several hosts in their URL leave one that goes away, by themselves."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.forwarder import Forwarder
from tests.integration.runtime.test_broker_hosts import among, host_of
from tests.integration.test_workers import Site, loaded
from tests.support.processes import PATIENCE
from tests.support.waiting import wait_until
from tests.support.world import open_tables

pytestmark = pytest.mark.timeout(300)


def test_relay_loader_and_clients_leave_a_host_that_is_gone_and_nothing_is_lost(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    with ExitStack() as running, ExitStack() as alive, open_tables(database_url) as tables:
        first, second = alive.enter_context(Forwarder(amqp_url)), Forwarder(amqp_url)
        running.enter_context(second)
        fleet = tmp_path / "fleet"
        site = Site(tmp_path, among(second.url, host_of(first.url)), database_url)
        for role in ("relay", "loader"):
            running.enter_context(site.start(role))
        clients = running.enter_context(
            site.start(
                "producers", "--fleet", str(fleet), "--clients", "30", "--forward-interval", "2s"
            )
        )

        def on_the_first() -> bool:
            # Each connection chooses at random, so some have to choose again.
            if not first.connections:
                second.cut()
            return bool(first.connections)

        wait_until(on_the_first, timeout=PATIENCE, what="a connection to the first host")
        before = wait_until(lambda: loaded(tables), timeout=PATIENCE, what="messages")
        alive.close()
        wait_until(
            lambda: loaded(tables) > before + 100, timeout=PATIENCE, what="messages after the end"
        )
        clients.send(signal.SIGTERM)
        assert clients.end() == 0
        site.run("verify", "--fleet", fleet)
