"""The queues as data: their names, and the arguments that are part of their identity."""

from pathlib import Path
from uuid import UUID

import pytest

from schemas.report import Lane
from schemas.topics import catalogue
from schemas.topology import (
    DEAD,
    INCOMING,
    MAX_SHARDS,
    PUBLISHED,
    QUARANTINE,
    QUEUES,
    REPORTS,
    RESYNC,
    SPREAD,
    WORKERS,
    batches_of,
    in_shard,
    incoming,
    is_incoming,
    is_reply_queue,
    is_reports,
    queues,
    reply_queue,
    report_queues,
    shard_of,
    work,
)
from tests.support.paths import SCHEMAS

WORK = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 1000,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": "statesys.dead",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
LASTING = {"x-queue-type": "quorum", "x-delivery-limit": 2147483647}


def test_the_arguments_never_change() -> None:
    assert {queue.name: queue.arguments for queue in QUEUES} == {
        "mp_relayendpoint": WORK,
        "statesys.incoming.high": WORK,
        "statesys.incoming": WORK,
        "statesys.incoming.low": WORK,
        "statesys.resync": LASTING,
        "statesys.dead": LASTING,
        "statesys.workers": {**LASTING, "x-max-length": 10_000, "x-overflow": "drop-head"},
        "statesys.quarantine": {**LASTING, "x-max-length": 1, "x-overflow": "drop-head"},
    }


def test_no_message_of_a_client_is_in_a_queue_that_a_worker_can_do_without() -> None:
    assert {queue.name for queue in QUEUES if not queue.needed} == {WORKERS, QUARANTINE}
    dropping = {queue.name for queue in QUEUES if queue.arguments.get("x-overflow") == "drop-head"}
    assert dropping == {WORKERS, QUARANTINE}
    assert not {*work(1)} & dropping


def test_only_reports_have_an_exchange_of_the_same_name() -> None:
    assert [(q.name, q.exchange) for q in QUEUES if q.exchange] == [(REPORTS, PUBLISHED)]
    assert (PUBLISHED.name, PUBLISHED.key, PUBLISHED.kind) == (REPORTS, REPORTS, "direct")


def test_shards_add_queues_and_change_none() -> None:
    names = {queue.name: queue.arguments for queue in queues(3)}
    assert [queue for queue in queues(1) if names[queue.name] != queue.arguments] == []
    added = {name: names[name] for name in names.keys() - {queue.name for queue in QUEUES}}
    assert added.keys() == {
        f"{name}.{shard}" for name in (REPORTS, *INCOMING.values()) for shard in (1, 2)
    }
    assert [*added.values()] == [{**WORK, "x-queue-leader-locator": "balanced"}] * 8


def test_the_reports_of_shards_come_through_one_exchange_behind_the_clients() -> None:
    assert [queue.exchange for queue in report_queues(2)] == [SPREAD, SPREAD]
    assert (SPREAD.kind, SPREAD.arguments) == ("x-consistent-hash", (("hash-header", "client_id"),))
    assert SPREAD.before == PUBLISHED


def test_urgent_lanes_of_all_shards_come_first() -> None:
    assert incoming(2) == [
        "statesys.incoming.high",
        "statesys.incoming.high.1",
        "statesys.incoming",
        "statesys.incoming.1",
        "statesys.incoming.low",
        "statesys.incoming.low.1",
    ]


def test_every_work_queue_knows_its_shard_and_what_it_carries() -> None:
    for shard in range(MAX_SHARDS):
        for name in (REPORTS, *INCOMING.values()):
            found = in_shard(name, shard)
            assert shard_of(found) == shard
            assert (is_reports(found), is_incoming(found)) == (name == REPORTS, name != REPORTS)
        for lane, name in INCOMING.items():
            assert batches_of(in_shard(REPORTS, shard), lane) == in_shard(name, shard)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mp_relayendpoint.0",
        "mp_relayendpoint.01",
        "mp_relayendpoint.16",
        "mp_relayendpoint.1\n",
        "mp_relayendpointx",
        "mp_relayendpoint.high",
        "statesys.incoming.1.1",
        "statesys.incoming.other",
        "statesys.shards",
        "statesys.dead",
    ],
)
def test_no_other_name_is_a_work_queue(name: str) -> None:
    assert (shard_of(name), is_reports(name), is_incoming(name)) == (None, False, False)


def test_every_lane_has_a_queue() -> None:
    assert INCOMING.keys() == set(Lane)
    others = {REPORTS, RESYNC, DEAD, WORKERS, QUARANTINE}
    assert {*INCOMING.values(), *others} == {queue.name for queue in QUEUES}


def test_every_queue_says_what_it_carries() -> None:
    assert all(queue.carries for queue in QUEUES)


def test_a_fleet_has_a_reply_queue_named_after_its_store() -> None:
    queue = reply_queue(UUID("f1b03089-9ea1-4a64-83dc-5f8e77bddeb4"))
    assert (queue.name, queue.arguments) == ("statesys.resync.f1b03089", LASTING)
    assert is_reply_queue(queue.name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "statesys.resync",
        "statesys.resync.",
        "statesys.resync.F1B03089",
        "statesys.resync.f1b0308",
        "statesys.resync.f1b030899",
        "statesys.resync.f1b03089\n",
        "statesysxresync.f1b03089",
        "statesys.dead",
        "amq.rabbitmq.reply-to",
    ],
)
def test_no_other_name_is_a_reply_queue(name: str) -> None:
    assert not is_reply_queue(name)


def test_the_catalogue_has_every_row_of_its_file() -> None:
    rows = (Path(SCHEMAS) / "topic_states.csv").read_text(encoding="utf-8").splitlines()
    assert len(catalogue()) == len(rows) - 1 == 366


def test_a_topic_type_and_state_has_one_name() -> None:
    assert len({(row.topic_type, row.state_id) for row in catalogue()}) == len(catalogue())


def test_a_topic_type_has_one_name_whatever_the_state() -> None:
    names = {(row.topic_type, row.topic_name) for row in catalogue()}
    assert len(names) == len({topic_type for topic_type, _ in names})


def test_a_row_names_a_state_or_the_type_itself() -> None:
    assert all((row.state_id is None) == (row.state_name is None) for row in catalogue())
    assert all(row.topic_name for row in catalogue())
