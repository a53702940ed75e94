"""A relay renews its thread: names that lxml keeps for a thread do not pile up."""

import threading
from pathlib import Path
from typing import Any

import pytest

from relay import service
from relay.validate import accept
from runtime.settings import load_settings
from tests.support.relays import World, good, ids
from tests.support.waiting import wait_until


def await_relayed(world: World, count: int) -> list[str]:
    """Wait until `count` reports are relayed; their message ids."""
    found: list[str] = []

    def complete() -> bool:
        found.extend(map(str, world.relayed()))
        return len(found) >= count

    wait_until(complete, timeout=60, what="the reports to be relayed")
    return sorted(found)


def test_a_relay_renews_its_thread_and_loses_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[threading.Thread] = set()

    def watched(*args: Any, **kwargs: Any) -> Any:
        threads.add(threading.current_thread())
        return accept(*args, **kwargs)

    monkeypatch.setattr(service, "accept", watched)
    # One byte, so that the relay renews its thread after each poll that brings a report.
    monkeypatch.setattr(service, "RENEW_AFTER", 1)
    settings = load_settings(home=tmp_path, amqp_url=world.amqp_url)
    first, second = good(20), good(20, first=21)
    stop = threading.Event()
    running = threading.Thread(target=service.Relay(settings, stop).run)
    running.start()
    try:
        # The second half is published after the first is relayed, so there are at least two polls.
        for half in (first, second):
            world.publish(half)
            assert await_relayed(world, len(half)) == sorted(ids(half))
    finally:
        stop.set()
        running.join()
    assert len(threads) > 1
