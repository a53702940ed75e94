"""What is wrong with a queue or exchange that exists, and with the policies on it. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from console.topology.policies import Force, in_force
from runtime.broker.inspection import FoundExchange, FoundQueue, Policy
from schemas.topology import REPORTS, Queue

#: Keys of a policy that lose messages whatever their value is, and how.
_HARMFUL = {
    "message-ttl": "messages that wait longer are dropped",
    "expires": "the queue is deleted, with what is in it, when nobody uses it for that long",
}
_LIMITS = ("max-length", "max-length-bytes")
_KEEPS = "reject-publish"


def judge_queue(needed: Queue, found: FoundQueue, policies: Iterable[Policy]) -> list[str]:
    """What is wrong with a queue, in sentences; empty when it is right."""
    is_wrong = [
        (f"is a {found.kind} queue; needed is a quorum queue", found.kind != "quorum"),
        ("is not durable: a restart of the broker deletes it", not found.durable),
        ("is deleted with its last consumer (auto-delete)", found.auto_delete),
        ("is exclusive to one connection", found.exclusive),
    ]
    kinds = ("queues", f"{found.kind}_queues", f"{found.kind}s")
    return [
        *(told for told, wrong in is_wrong if wrong),
        *_arguments(needed.arguments, found.arguments),
        *(
            told
            for force in in_force(needed.name, kinds, policies)
            for told in _harm(needed, force)
        ),
    ]


def judge_exchange(found: FoundExchange | None, policies: Iterable[Policy]) -> list[str]:
    """What is wrong with the exchange of reports, in sentences."""
    if found is None:
        return ["does not exist"]
    is_wrong = [
        (f"is of type {found.kind}; needed is direct", found.kind != "direct"),
        ("is not durable: a restart of the broker deletes it", not found.durable),
        ("is deleted with its last binding (auto-delete)", found.auto_delete),
        ("is internal: no client may publish to it", found.internal),
        (f"is not bound to queue '{REPORTS}'", not found.bound),
    ]
    elsewhere = "alternate-exchange"
    return [
        *(told for told, wrong in is_wrong if wrong),
        *_arguments({}, found.arguments),
        *(
            f"{force.sources[elsewhere]} sets {elsewhere}: reports that no queue takes go there, "
            "and their client is told that they arrived"
            for force in in_force(REPORTS, ("exchanges",), policies)
            if elsewhere in force.definition
        ),
    ]


def _arguments(needed: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    for name in sorted({*needed, *found}):
        if needed.get(name) != found.get(name):
            yield f"{name} is {_value(found, name)}; needed is {_value(needed, name)}"


def _value(arguments: dict[str, Any], name: str) -> str:
    return f"'{arguments[name]}'" if name in arguments else "not set"


def _harm(needed: Queue, force: Force) -> Iterator[str]:
    """What a definition does against the arguments of the queue.

    For quorum queues RabbitMQ takes the smaller of two numbers, the overflow of the policy, and
    the dead-letter settings of the arguments: a policy's dead-letter exchange changes nothing.
    """
    definition, sources = force
    for key, harm in _HARMFUL.items():
        if key in definition:
            yield f"{sources[key]} sets {key} to {definition[key]}: {harm}"
    own = needed.arguments.get("x-overflow")
    limits = [key for key in _LIMITS if key in definition]
    overflow = definition.get("overflow", own or "drop-head")
    if overflow != _KEEPS and (limits or own):
        source = sources["overflow" if "overflow" in definition else limits[0]]
        what = ", ".join(limits) or "overflow"
        yield (
            f"{source} sets {what} with overflow {overflow}: the oldest messages or dead letters "
            f"are dropped; needed is {_KEEPS}"
        )
    limit, least = definition.get("delivery-limit"), needed.arguments["x-delivery-limit"]
    if isinstance(limit, int) and limit < int(least):
        yield (
            f"{sources['delivery-limit']} sets delivery-limit to {limit}: messages leave the "
            f"queue after fewer returns; needed is {least} or more"
        )
