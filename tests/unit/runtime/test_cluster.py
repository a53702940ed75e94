"""Waiting for the private brokers, with brokers that never come up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.devserver import ServicesError, cluster, registry
from runtime.devserver.registry import Rabbitmq
from runtime.process_identity import Process

#: No process has this pid.
ENDED = Process(pid=2**31 - 1, started=1, boot="none")


class EndingServer:
    """A broker that ends as soon as it was started."""

    launched: list[int]

    def __init__(self, _home: Path, broker: Rabbitmq, *, nodes: int) -> None:
        self._number, self._nodes = broker.number, nodes

    def launch(self, _write_down: Callable[[Process], None]) -> Process:
        self.launched.append(self._number)
        return ENDED

    def failure(self) -> ServicesError:
        return ServicesError(f"broker {self._number} did not come up")


def test_a_broker_is_not_started_again_behind_the_error_that_reports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[int] = []
    monkeypatch.setattr(EndingServer, "launched", launched, raising=False)
    monkeypatch.setattr(cluster, "Server", EndingServer)
    # The time is over after the first look.
    monkeypatch.setattr(cluster, "START", -1)
    brokers = cluster.Cluster(tmp_path, registry.create(tmp_path, nodes=3).brokers)
    with pytest.raises(ServicesError, match="broker 1 did not come up"):
        brokers.wait()
    assert launched == [1, 2, 3]
