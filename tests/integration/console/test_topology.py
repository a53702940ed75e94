"""Every command that declares queues refuses wrong ones, and says so in one sentence."""

from pathlib import Path

import pytest

from tests.integration.console.conftest import Run
from tests.support.brokers import vhost
from tests.support.management import Management


@pytest.mark.parametrize(
    "arguments",
    [
        *(("relay", "run"), ("loader", "run"), ("dead", "replay", "--all")),
        *(("producers", "publish", "--clients=2"), ("producers", "run", "--clients=2")),
    ],
    ids=" ".join,
)
def test_a_wrong_queue_ends_every_command_that_declares(
    arguments: tuple[str, ...],
    run: Run,
    environment: dict[str, str],
    management: Management,
    tmp_path: Path,
) -> None:
    management.call(
        *("PUT", "queues", vhost(environment["STATESYS_AMQP_URL"]), "mp_relayendpoint"),
        body={"durable": False},
    )
    done = run(*arguments, env=environment, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "queue 'mp_relayendpoint' exists, and its durable is 'false'" in done.stderr
    assert done.stdout == ""
