"""The queues as data: their names, and the arguments that are part of their identity."""

from pathlib import Path
from uuid import UUID

import pytest

from schemas.report import Lane
from schemas.topics import catalogue
from schemas.topology import (
    DEAD,
    INCOMING,
    QUARANTINE,
    QUEUES,
    REPORTS,
    RESYNC,
    WORKERS,
    is_reply_queue,
    reply_queue,
)
from schemas.topology import WORK as WORK_QUEUES
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
    assert not {*WORK_QUEUES} & dropping


def test_only_reports_have_an_exchange_of_the_same_name() -> None:
    assert [(q.name, q.exchange) for q in QUEUES if q.exchange] == [(REPORTS, REPORTS)]


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
