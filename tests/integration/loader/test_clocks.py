"""A relay's or client's clock that is ahead blocks no later state: no time counts as after now."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from loader.prepare import stage_lines
from loader.store.chunks import ChunkStore
from schemas.report import Claim
from schemas.smx import Smx
from schemas.smx_text import smx_text
from schemas.topology import reply_queue
from tests.support.world import CLIENT, Tables, load, message, report, smx

#: An hour before the tests; the minutes of their reports count from it.
BASE = datetime.now(UTC) - timedelta(hours=1)
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


def unnumbered(state: int, *, minute: int, ahead: timedelta = timedelta(0)) -> Smx:
    """A state without a serial, received at a minute; the client's clock may be ahead."""
    now = BASE + timedelta(minutes=minute)
    one = message(None, topic="dp", state=state)._replace(message_time=now + ahead)
    return smx(report(one, date=now + ahead), received_at=now)


def load_all(store: ChunkStore, *chunks: Sequence[Smx]) -> None:
    for chunk in chunks:
        store.load(stage_lines([smx_text(uuid4(), one) for one in chunk]))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("together", [False, True])
def test_a_client_that_was_ahead_does_not_pin_a_state_without_a_serial(
    order: tuple[int, ...], together: bool, store: ChunkStore, tables: Tables
) -> None:
    found = [
        unnumbered(1, minute=0),
        unnumbered(2, minute=1, ahead=TEN_YEARS),
        unnumbered(3, minute=2),
    ]
    chunk = [found[place] for place in order]
    load_all(store, *([chunk] if together else [[one] for one in chunk]))
    assert tables.states() == {"dp": (3, None)}
    # A numbered state of the topic hides it, until a resync overtakes that one.
    load(store, report(message(1, topic="dp", state=9)))
    assert tables.states() == {"dp": (9, 1)}
    load(store, report(message(2, topic_type=700), claim=Claim(uuid4(), 2, 2)))
    assert tables.states() == {"dp": (3, None)}


def test_a_state_that_was_pinned_before_gives_way_to_the_next(
    store: ChunkStore, tables: Tables
) -> None:
    load_all(store, [unnumbered(1, minute=0)])
    tables.connection.execute(
        "UPDATE current_state SET message_time = message_time + interval '10 years'"
    )
    load_all(store, [unnumbered(2, minute=1)])
    assert tables.states() == {"dp": (2, None)}


def test_no_client_has_a_message_of_the_future(store: ChunkStore, tables: Tables) -> None:
    load_all(store, [unnumbered(1, minute=0, ahead=TEN_YEARS)])
    ((latest,),) = tables.rows("SELECT last_message_time FROM client")
    assert latest <= datetime.now(UTC)
    assert tables.rows("SELECT message_time > now() FROM state_message") == [(True,)]
