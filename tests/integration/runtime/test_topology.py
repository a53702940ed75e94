"""A worker starts only if existing queues and exchanges are what the topology says."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import pika
import pytest
from structlog.testing import capture_logs

from runtime.broker import Administration, declare
from schemas.errors import PermissionMissing, TopologyWrong
from schemas.report import Lane
from schemas.topology import DEAD, INCOMING, QUEUES, REPORTS, queues, reply_queue
from tests.support.brokers import vhost
from tests.support.management import Management

NORMAL = INCOMING[Lane.NORMAL]
REPLIES = reply_queue(UUID(int=7))
RIGHT = {queue.name: queue for queue in QUEUES}


class Wrong(NamedTuple):
    """A queue with wrong properties, and the error message for it."""

    told: str
    arguments: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    durable: bool = True
    auto_delete: bool = False


CLASSIC = dict.fromkeys(RIGHT[NORMAL].arguments)
WRONG = {
    "not durable": Wrong("durable is 'false'; needed is 'true'", CLASSIC, durable=False),
    "deleted with its last consumer": Wrong("auto_delete is 'true'", CLASSIC, auto_delete=True),
    "classic": Wrong("needed is ''", CLASSIC),
    "classic, otherwise alike": Wrong(
        "'classic'; needed is 'quorum'",
        {"x-queue-type": "classic", "x-delivery-limit": None, "x-dead-letter-strategy": None},
    ),
    "a stream": Wrong("'stream'; needed is 'quorum'", {**CLASSIC, "x-queue-type": "stream"}),
    "message ttl": Wrong("'1000'; needed is not set", {"x-message-ttl": 1000}),
    "expires": Wrong("'90000'; needed is not set", {"x-expires": 90000}),
    "max length": Wrong("'5'; needed is not set", {"x-max-length": 5}),
    "max length in bytes": Wrong("'5'; needed is not set", {"x-max-length-bytes": 5}),
    "drop head": Wrong("'drop-head'; needed is 'reject-publish'", {"x-overflow": "drop-head"}),
    "no overflow": Wrong("not set; needed is 'reject-publish'", {"x-overflow": None}),
    "a small delivery limit": Wrong("'5'; needed is '1000'", {"x-delivery-limit": 5}),
    "no delivery limit": Wrong("not set; needed is '1000'", {"x-delivery-limit": None}),
    "another dead-letter exchange": Wrong(
        "'amq.fanout'; needed is ''", {"x-dead-letter-exchange": "amq.fanout"}
    ),
    "another dead-letter key": Wrong(
        "'lost'; needed is 'statesys.dead'", {"x-dead-letter-routing-key": "lost"}
    ),
    "dead letters at most once": Wrong(
        "'at-most-once'; needed is 'at-least-once'", {"x-dead-letter-strategy": "at-most-once"}
    ),
    "no strategy": Wrong("needed is 'at-least-once'", {"x-dead-letter-strategy": None}),
    "a single consumer": Wrong("'true'; needed is not set", {"x-single-active-consumer": True}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_queue_that_is_something_else_is_refused_and_named(
    amqp_url: str, management: Management, wrong: Wrong
) -> None:
    given = {**RIGHT[NORMAL].arguments, **wrong.arguments}
    body = {
        "durable": wrong.durable,
        "auto_delete": wrong.auto_delete,
        "arguments": {name: value for name, value in given.items() if value is not None},
    }
    management.call("PUT", "queues", vhost(amqp_url), NORMAL, body=body)
    with pytest.raises(TopologyWrong) as told:
        declare(amqp_url, queues, name="test")
    assert f"queue '{NORMAL}' exists, and its " in str(told.value)
    assert wrong.told in str(told.value)
    assert "delete it" in str(told.value)
    assert told.value.exit_code == 3


@pytest.mark.parametrize("name", [*RIGHT, REPLIES.name])
def test_every_queue_is_looked_at(amqp_url: str, management: Management, name: str) -> None:
    management.call("PUT", "queues", vhost(amqp_url), name, body={"durable": True})
    with pytest.raises(TopologyWrong, match=f"queue '{name}' exists"):
        declare(amqp_url, lambda shards: [*queues(shards), REPLIES], name="test")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"type": "topic"}, "type is 'topic'; needed is 'direct'"),
        ({"durable": False}, "durable is 'false'"),
        ({"auto_delete": True}, "auto_delete is 'true'"),
        ({"internal": True}, "internal is 'true'"),
        ({"arguments": {"alternate-exchange": "amq.fanout"}}, "alternate-exchange is 'amq.fanout'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_exchange_that_is_something_else_is_refused_and_named(
    amqp_url: str, management: Management, body: dict[str, Any], told: str
) -> None:
    right = {"type": "direct", "durable": True}
    management.call("PUT", "exchanges", vhost(amqp_url), REPORTS, body={**right, **body})
    with pytest.raises(TopologyWrong, match=f"exchange '{REPORTS}' exists") as error:
        declare(amqp_url, queues, name="test")
    assert told in str(error.value)


def test_a_queue_that_another_connection_keeps_for_itself_is_refused(amqp_url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as other:
        other.channel().queue_declare(NORMAL, exclusive=True)
        with pytest.raises(TopologyWrong, match=f"'{NORMAL}' exists, and is exclusive"):
            declare(amqp_url, queues, name="test")


def test_a_refusal_leaves_the_errands_at_work(amqp_url: str, management: Management) -> None:
    management.call("PUT", "queues", vhost(amqp_url), NORMAL, body={"durable": True})
    with Administration(amqp_url, name="test") as admin:
        for _ in range(2):
            with pytest.raises(TopologyWrong):
                admin.declare(QUEUES)
        assert admin.declare([RIGHT[DEAD]]) == []


# -- users without the configure permission --------------------------------------------------


@pytest.fixture
def restricted_url(amqp_url: str, management: Management) -> Iterator[str]:
    """The URL of a user who may read and write everything, but configure nothing."""
    name = vhost(amqp_url)
    management.call("PUT", "users", name, body={"password": "secret", "tags": ""})
    rights = {"configure": "^$", "write": ".*", "read": ".*"}
    management.call("PUT", "permissions", name, name, body=rights)
    parts = urlsplit(amqp_url)
    yield parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}").geturl()
    management.call("DELETE", "users", name)


def test_a_worker_that_may_not_configure_says_what_it_did_not_verify(
    amqp_url: str, restricted_url: str
) -> None:
    assert declare(amqp_url, queues, name="installer").note is None
    with capture_logs() as logged:
        note = declare(restricted_url, queues, name="worker").note
    assert note is not None
    assert note.startswith("topology not verified (")
    assert all(f"queue '{queue.name}'" in note for queue in QUEUES)
    assert f"exchange '{REPORTS}'" in note
    assert [(one["event"], one["worker"]) for one in logged] == [
        ("worker.topology_not_verified", "worker")
    ]


def test_a_worker_that_may_not_configure_is_refused_what_is_missing(
    amqp_url: str, restricted_url: str
) -> None:
    declare(amqp_url, lambda shards: queues(shards)[1:], name="installer")
    with pytest.raises(PermissionMissing, match=f"configure access to queue '{REPORTS}'"):
        declare(restricted_url, queues, name="worker")


def test_a_worker_that_may_not_configure_sees_an_exclusive_queue(
    amqp_url: str, restricted_url: str
) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as other:
        other.channel().queue_declare(REPORTS, exclusive=True)
        with pytest.raises(TopologyWrong, match="is exclusive"):
            declare(restricted_url, queues, name="worker")
