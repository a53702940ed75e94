"""Which report gives a client's name and queue: a reinstalled machine counts from 1 again."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, permutations
from uuid import UUID, uuid4

import pytest

from loader.prepare import stage_lines
from loader.store.chunks import ChunkStore
from loader.store.resyncs import ResyncStore
from schemas.smx import Smx
from schemas.smx_text import smx_text
from schemas.topology import reply_queue
from tests.support.world import CLIENT, Tables, message, report, smx

MINUTE, TEN_YEARS = timedelta(minutes=1), timedelta(days=3650)
OLD, NEW = (reply_queue(store_id).name for store_id in (UUID(int=1 << 96), UUID(int=2 << 96)))
RIGHT, AHEAD, BEHIND = timedelta(0), TEN_YEARS, -TEN_YEARS
#: An hour before the tests; the minutes of their reports count from it.
BASE = datetime.now(UTC) - timedelta(hours=1)
_NUMBERS = count()


def came(
    serial: int,
    queue: str | None,
    *,
    minute: int,
    relay: timedelta = RIGHT,
    lag: int = 0,
    version: str = "5",
    client_clock: timedelta = RIGHT,
) -> Smx:
    """A report with one message.

    Args:
        minute: when it was rendered, in minutes after `BASE`.
        relay: how wrong the relay's clock is.
        lag: minutes until the relay had it.
    """
    date = BASE + minute * MINUTE
    # A state of its own makes each message a different one.
    one = report(message(serial, state=next(_NUMBERS)), date=date + client_clock)
    one = one._replace(client_version=version)
    return smx(one, reply_to=queue, received_at=date + lag * MINUTE + relay)


def load(store: ChunkStore, *chunks: Sequence[Smx]) -> None:
    for chunk in chunks:
        store.load(stage_lines([smx_text(uuid4(), one) for one in chunk]))


def known(tables: Tables) -> tuple[str, str]:
    ((queue, version),) = tables.rows("SELECT reply_queue, version FROM client")
    return queue, version


def ways(*reports: Smx) -> list[list[list[Smx]]]:
    """The reports in every order, each order as one chunk and as single chunks."""
    orders = [list(order) for order in permutations(reports)]
    return [[order] for order in orders] + [[[one] for one in order] for order in orders]


@pytest.mark.parametrize("old", [RIGHT, AHEAD, BEHIND], ids=["right", "ahead", "behind"])
@pytest.mark.parametrize("new", [RIGHT, AHEAD, BEHIND], ids=["right", "ahead", "behind"])
def test_a_machine_installed_anew_is_asked_on_its_new_queue_in_whatever_order_its_reports_come(
    old: timedelta,
    new: timedelta,
    store: ChunkStore,
    open_resyncs: Callable[..., ResyncStore],
    tables: Tables,
) -> None:
    resyncs = open_resyncs()
    reports = (
        came(1, OLD, minute=0, relay=old),
        came(100, OLD, minute=10, relay=old),
        came(1, NEW, minute=20, relay=new),
    )
    for chunks in ways(*reports):
        tables.truncate()
        load(store, *chunks)
        assert known(tables)[0] == NEW, chunks
    now = datetime.now(UTC)
    resyncs.request(CLIENT, now=now)
    (sent,) = resyncs.unsent(now=now)
    assert sent.reply_queue == NEW


@pytest.mark.parametrize("first", [0, 1], ids=["known before", "first of all"])
def test_the_last_report_of_the_old_life_may_come_last_by_a_relay_ahead(
    first: int, store: ChunkStore, tables: Tables
) -> None:
    reports = [
        came(1, OLD, minute=0),
        came(1, NEW, minute=20),
        came(100, OLD, minute=10, relay=AHEAD),
    ]
    load(store, *([one] for one in reports[first:]))
    assert known(tables)[0] == NEW


def test_whoever_is_received_later_by_right_clocks_is_believed_whatever_its_own_clock_says(
    store: ChunkStore, tables: Tables
) -> None:
    load(store, [came(100, OLD, minute=10, client_clock=TEN_YEARS)])
    load(store, [came(1, NEW, minute=20, client_clock=-TEN_YEARS)])
    assert known(tables)[0] == NEW
    load(store, [came(2, OLD, minute=30, client_clock=TEN_YEARS)])
    assert known(tables)[0] == OLD


def test_a_client_that_was_ahead_is_not_pinned_by_a_relay_that_is_ahead(
    store: ChunkStore, tables: Tables
) -> None:
    load(store, [came(100, OLD, minute=10, client_clock=TEN_YEARS)])
    load(store, [came(1, NEW, minute=20, relay=AHEAD)])
    assert known(tables)[0] == NEW


@pytest.mark.parametrize("one", [RIGHT, AHEAD, BEHIND], ids=["right", "ahead", "behind"])
@pytest.mark.parametrize("other", [RIGHT, AHEAD, BEHIND], ids=["right", "ahead", "behind"])
def test_within_one_life_the_higher_serial_says_the_version(
    one: timedelta, other: timedelta, store: ChunkStore, tables: Tables
) -> None:
    reports = (
        came(7, OLD, minute=10, relay=one, version="5"),
        came(8, OLD, minute=10, relay=other, version="6"),
    )
    for chunks in ways(*reports):
        tables.truncate()
        load(store, *chunks)
        assert known(tables)[1] == "6", chunks


def test_a_store_that_was_lost_counts_anew_on_the_same_queue(
    store: ChunkStore, tables: Tables
) -> None:
    for serial, minute, version in ((100, 0, "5"), (1, 20, "6"), (2, 30, "7")):
        load(store, [came(serial, OLD, minute=minute, relay=AHEAD, version=version)])
        assert known(tables) == (OLD, version)


def test_without_any_sign_of_an_order_the_later_delivery_is_believed(
    store: ChunkStore, tables: Tables
) -> None:
    for first, second in ((OLD, NEW), (NEW, OLD)):
        tables.truncate()
        load(store, [came(7, queue, minute=10, relay=AHEAD) for queue in (first, second)])
        assert known(tables)[0] == second


def test_a_client_is_seen_no_earlier_than_it_rendered_and_no_later_than_now(
    store: ChunkStore, tables: Tables
) -> None:
    for serial, relay in enumerate((BEHIND, RIGHT, AHEAD), 1):
        load(store, [came(serial, OLD, minute=10 * serial, relay=relay, lag=5)])
        ((last_seen,),) = tables.rows("SELECT last_seen FROM client")
        assert BASE + 10 * serial * MINUTE <= last_seen <= datetime.now(UTC)
