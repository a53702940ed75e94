"""Queues, exchanges and policies from the management API: AMQP does not show them.

Unlike the statistics of `management` they are current, because RabbitMQ reads them from its
definitions. (Only the policy in a queue's own entry may be some seconds old; it is not used.)
"""

import json
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote, urlencode

from runtime.broker.management import OURS, availability, call, virtual_host
from schemas.errors import BrokerUnavailable
from schemas.topology import PUBLISHED, SPREAD

#: Queues in one answer.
_PAGE = 100


class FoundQueue(NamedTuple):
    """A queue that exists; `kind` is quorum, classic or stream, `available` as `availability`."""

    name: str
    kind: str
    durable: bool
    auto_delete: bool
    exclusive: bool
    arguments: dict[str, Any]
    available: bool


class FoundBinding(NamedTuple):
    """A binding behind an exchange; `kind` is queue or exchange."""

    kind: str
    name: str
    key: str


class FoundExchange(NamedTuple):
    """An exchange that exists, with what is bound to it."""

    kind: str
    durable: bool
    auto_delete: bool
    internal: bool
    arguments: dict[str, Any]
    bindings: list[FoundBinding]


class Policy(NamedTuple):
    """A policy of the virtual host, or an operator policy."""

    name: str
    pattern: str
    apply_to: str
    priority: int
    definition: dict[str, Any]
    operator: bool


class Inspection(NamedTuple):
    """All that `inspect` found; the exchanges by name."""

    queues: list[FoundQueue]
    exchanges: dict[str, FoundExchange]
    policies: list[Policy]


def inspect(management_url: str, amqp_url: str) -> Inspection:
    """Read our queues, our exchanges, and the policies of the virtual host.

    Args:
        management_url: such as `http://user:password@host:15672`; the user needs the tag
            `management` and access to the virtual host.
        amqp_url: names the virtual host.

    Raises:
        BrokerUnavailable: the API is unavailable, or the answer is not RabbitMQ's.
    """
    vhost = quote(virtual_host(amqp_url), safe="")
    try:
        return Inspection(
            list(_queues(management_url, vhost)),
            _exchanges(management_url, vhost),
            [
                *_policies(management_url, f"policies/{vhost}", operator=False),
                *_policies(management_url, f"operator-policies/{vhost}", operator=True),
            ],
        )
    except HTTPError as error:
        why = f"HTTP status {error.code}"
    except (OSError, HTTPException) as error:
        # Never the message of a ValueError: it may quote the URL.
        why = str(getattr(error, "reason", error)) or type(error).__name__
    except (ValueError, KeyError, TypeError, AttributeError):
        why = "the URL cannot be used, or the answer is not RabbitMQ's"
    raise BrokerUnavailable(
        f"RabbitMQ's management API: {why}; check STATESYS_MANAGEMENT_URL, the tag of its user "
        "(management) and the user's permissions for the virtual host"
    )


def _queues(url: str, vhost: str) -> Iterator[FoundQueue]:
    page, pages = 1, 1
    while page <= pages:
        query = {"page": page, "page_size": _PAGE, "name": OURS, "use_regex": "true"}
        found = _get(url, f"queues/{vhost}?{urlencode(query)}")
        available = availability(url, {item["name"]: item for item in found["items"]})
        for item in found["items"]:
            yield FoundQueue(
                name=item["name"],
                kind=item["type"],
                durable=item["durable"],
                auto_delete=item["auto_delete"],
                exclusive=item["exclusive"],
                arguments=dict(item["arguments"]),
                available=available[item["name"]],
            )
        page, pages = page + 1, found["page_count"]


def _exchanges(url: str, vhost: str) -> dict[str, FoundExchange]:
    found = {item["name"]: item for item in _get(url, f"exchanges/{vhost}")}
    ours = (exchange.name for exchange in (PUBLISHED, SPREAD) if exchange.name in found)
    return {name: _exchange(url, vhost, found[name]) for name in ours}


def _exchange(url: str, vhost: str, item: dict[str, Any]) -> FoundExchange:
    bindings = _get(url, f"exchanges/{vhost}/{item['name']}/bindings/source")
    return FoundExchange(
        kind=item["type"],
        durable=item["durable"],
        auto_delete=item["auto_delete"],
        internal=item["internal"],
        arguments=dict(item["arguments"]),
        bindings=[
            FoundBinding(one["destination_type"], one["destination"], one["routing_key"])
            for one in bindings
        ],
    )


def _policies(url: str, path: str, *, operator: bool) -> Iterator[Policy]:
    for item in _get(url, path):
        yield Policy(
            name=item["name"],
            pattern=item["pattern"],
            apply_to=item["apply-to"],
            priority=item["priority"],
            definition=dict(item["definition"]),
            operator=operator,
        )


def _get(url: str, path: str) -> Any:
    return json.loads(call(url, path, method="GET"))
