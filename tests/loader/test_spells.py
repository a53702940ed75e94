"""A loader renews its threads: names that lxml keeps for a thread do not pile up."""

import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from loader import worker
from loader.prepare import items_of
from tests.loader.processes import batches_of, drain, fill, ready
from tests.loader.world import CLIENT, Tables, message, report


def test_a_loader_renews_its_threads_and_loses_nothing(
    amqp_url: str, database_url: str, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[threading.Thread] = set()

    def watched(batch_id: UUID, smx: Sequence[Any]) -> Any:
        threads.add(threading.current_thread())
        return items_of(batch_id, smx)

    monkeypatch.setattr(worker, "items_of", watched)
    # Bytes: each chunk is a spell of its own.
    monkeypatch.setattr(worker, "RENEW_AFTER", 1)
    fill(amqp_url, batches_of([report(message(n)) for n in range(1, 101)], size=5))
    drain(amqp_url, database_url, loader_threads=1, loader_chunk_size=1)
    assert ready(amqp_url) == 0
    (row,) = tables.rows("SELECT count(*) FROM state_message WHERE client_id = %s", CLIENT)
    assert row == (100,)
    assert len(threads) > 2
