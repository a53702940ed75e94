"""A relay whose clock is ahead pins nothing: no report was received later than now."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from loader.store import ChunkStore
from schemas.topology import reply_queue
from tests.loader.world import CLIENT, Tables, load, message, report

TEN_YEARS = timedelta(days=3650)
OLD, NEW = (reply_queue(store_id).name for store_id in (UUID(int=1 << 96), UUID(int=2 << 96)))


def known(tables: Tables) -> tuple[str, datetime]:
    ((queue, last_seen),) = tables.rows("SELECT reply_queue, last_seen FROM client")
    return queue, last_seen


def test_a_relay_ahead_does_not_pin_a_client_to_its_old_reply_queue(
    open_store: Callable[..., ChunkStore], tables: Tables
) -> None:
    store = open_store()
    load(store, report(message(1)), reply_to=OLD, received_at=datetime.now(UTC) + TEN_YEARS)
    assert known(tables)[1] <= datetime.now(UTC)
    load(store, report(message(2)), reply_to=NEW, received_at=datetime.now(UTC))
    assert known(tables)[0] == NEW


def test_a_client_that_was_pinned_before_is_known_by_its_second_report(
    open_store: Callable[..., ChunkStore], tables: Tables
) -> None:
    store = open_store()
    load(store, report(message(1)), reply_to=OLD, received_at=datetime.now(UTC))
    tables.connection.execute(
        "UPDATE client SET last_seen = now() + interval '10 years' WHERE client_id = %s", [CLIENT]
    )
    for serial in (2, 3):
        load(store, report(message(serial)), reply_to=NEW, received_at=datetime.now(UTC))
    assert known(tables)[0] == NEW
    assert known(tables)[1] <= datetime.now(UTC)
