"""Queues, exchange and policies from the management API: AMQP does not show them.

Unlike the statistics of `management` they are current, because RabbitMQ reads them from its
definitions. (Only the policy in a queue's own entry may be some seconds old; it is not used.)
"""

import json
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote, urlencode

from runtime.broker.management import OURS, call, virtual_host
from schemas.errors import BrokerUnavailable
from schemas.topology import REPORTS

#: Queues in one answer.
_PAGE = 100


class FoundQueue(NamedTuple):
    """A queue that exists; `kind` is quorum, classic or stream."""

    name: str
    kind: str
    durable: bool
    auto_delete: bool
    exclusive: bool
    arguments: dict[str, Any]


class FoundExchange(NamedTuple):
    """The exchange of reports; `bound` says whether its binding to the queue of reports exists."""

    kind: str
    durable: bool
    auto_delete: bool
    internal: bool
    arguments: dict[str, Any]
    bound: bool


class Policy(NamedTuple):
    """A policy of the virtual host, or an operator policy."""

    name: str
    pattern: str
    apply_to: str
    priority: int
    definition: dict[str, Any]
    operator: bool


class Inspection(NamedTuple):
    """All that `inspect` found; `exchange` is None when it does not exist."""

    queues: list[FoundQueue]
    exchange: FoundExchange | None
    policies: list[Policy]


def inspect(management_url: str, amqp_url: str) -> Inspection:
    """Read our queues, our exchange, and the policies of the virtual host.

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
            _exchange(management_url, vhost),
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
        for item in found["items"]:
            yield FoundQueue(
                name=item["name"],
                kind=item["type"],
                durable=item["durable"],
                auto_delete=item["auto_delete"],
                exclusive=item["exclusive"],
                arguments=dict(item["arguments"]),
            )
        page, pages = page + 1, found["page_count"]


def _exchange(url: str, vhost: str) -> FoundExchange | None:
    exchanges = {item["name"]: item for item in _get(url, f"exchanges/{vhost}")}
    if REPORTS not in exchanges:
        return None
    found = exchanges[REPORTS]
    bindings = _get(url, f"exchanges/{vhost}/{REPORTS}/bindings/source")
    return FoundExchange(
        kind=found["type"],
        durable=found["durable"],
        auto_delete=found["auto_delete"],
        internal=found["internal"],
        arguments=dict(found["arguments"]),
        bound=any(
            (one["destination_type"], one["destination"], one["routing_key"])
            == ("queue", REPORTS, REPORTS)
            for one in bindings
        ),
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
