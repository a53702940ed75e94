"""Checks every queue and exchange of the broker, by AMQP and by the management API."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from runtime.broker import Administration
from runtime.broker.inspection import (
    FoundBinding,
    FoundExchange,
    FoundQueue,
    Inspection,
    Policy,
    inspect,
)
from runtime.broker.shards import count_shards
from runtime.settings import Settings
from schemas.errors import BrokerUnavailable, PermissionMissing, TopologyWrong
from schemas.topology import (
    PUBLISHED,
    REPORTS,
    RESYNC,
    SPREAD,
    Exchange,
    Queue,
    is_reply_queue,
    queues,
    reports,
)


class Force(NamedTuple):
    """A definition that may be in force, and for each of its keys the policy that sets it."""

    definition: dict[str, Any]
    sources: dict[str, str]


def in_force(name: str, kinds: Iterable[str], policies: Iterable[Policy]) -> Iterator[Force]:
    """Every definition that may be in force; empty when no policy matches.

    Args:
        name: of the queue or exchange.
        kinds: the values of "apply to" that include it.
    """
    fitting = [p for p in policies if p.apply_to in {"all", *kinds} and _matches(p.pattern, name)]
    ours = _first([policy for policy in fitting if not policy.operator])
    operators = _first([policy for policy in fitting if policy.operator])
    if fitting:
        for chosen in product(*filter(None, (ours, operators))):
            yield _merged(chosen)


def _first(policies: list[Policy]) -> list[Policy]:
    highest = max((policy.priority for policy in policies), default=0)
    return [policy for policy in policies if policy.priority == highest]


def _merged(policies: Iterable[Policy]) -> Force:
    force = Force({}, {})
    for policy in policies:
        for key, value in policy.definition.items():
            before = force.definition.get(key)
            if isinstance(before, int) and isinstance(value, int) and before < value:
                continue
            force.definition[key] = value
            force.sources[key] = _called(policy)
    return force


def _called(policy: Policy) -> str:
    return f"{'operator policy' if policy.operator else 'policy'} '{policy.name}'"


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        # Erlang knows patterns that Python does not. Judge such a policy rather than skip it.
        return True


#: Keys of a policy that lose messages with any value, and how.
_HARMFUL = {
    "message-ttl": "messages that wait longer are dropped",
    "expires": "the queue is deleted, with what is in it, when nobody uses it for that long",
}
_LIMITS = ("max-length", "max-length-bytes")
_KEEPS, _DROPS = "reject-publish", "drop-head"


def judge_queue(needed: Queue, found: FoundQueue, policies: Iterable[Policy]) -> list[str]:
    """The problems of a queue, in sentences; empty when it is right."""
    is_wrong = [
        (f"is a {found.kind} queue; needed is a quorum queue", found.kind != "quorum"),
        ("is not durable: a restart of the broker deletes it", not found.durable),
        ("is deleted with its last consumer (auto-delete)", found.auto_delete),
        ("is exclusive to one connection", found.exclusive),
        ("has no leader: it takes and gives no message", not found.available),
    ]
    kinds = ("queues", f"{found.kind}_queues", f"{found.kind}s")
    return [
        *(problem for problem, wrong in is_wrong if wrong),
        *_arguments(needed.arguments, found.arguments),
        *(
            problem
            for force in in_force(needed.name, kinds, policies)
            for problem in _harmful_settings(needed, force)
        ),
    ]


def judge_exchange(
    needed: Exchange,
    bound: Sequence[FoundBinding],
    found: FoundExchange | None,
    policies: Iterable[Policy],
) -> list[str]:
    """The problems of an exchange, in sentences; empty when it is right.

    Args:
        bound: the bindings that it must have.
    """
    if found is None:
        return ["does not exist"]
    is_wrong = [
        (f"is of type {found.kind}; needed is {needed.kind}", found.kind != needed.kind),
        ("is not durable: a restart of the broker deletes it", not found.durable),
        ("is deleted with its last binding (auto-delete)", found.auto_delete),
        ("is internal: no client may publish to it", found.internal),
        *((f"is not bound to {one.kind} '{one.name}'", one not in found.bindings) for one in bound),
        *((told, True) for one in found.bindings if (told := _harm(needed, one, bound))),
    ]
    elsewhere = "alternate-exchange"
    return [
        *(problem for problem, wrong in is_wrong if wrong),
        *_arguments(dict(needed.arguments), found.arguments),
        *(
            f"{force.sources[elsewhere]} sets {elsewhere}: reports that no queue takes go there, "
            "and their client is told that they arrived"
            for force in in_force(needed.name, ("exchanges",), policies)
            if elsewhere in force.definition
        ),
    ]


def _harm(exchange: Exchange, found: FoundBinding, bound: Sequence[FoundBinding]) -> str | None:
    """What is wrong with a binding; None for one that only copies reports to somebody else."""
    if found in bound:
        return None
    if exchange == SPREAD:
        return (
            f"is bound to {found.kind} '{found.name}' with weight {found.key}, which takes a share "
            "of the reports; remove that binding, then check again"
        )
    if (found.name, found.key) == (REPORTS, REPORTS):
        return (
            f"is still bound to queue '{REPORTS}', so that reports go to two queues; "
            "`statesys topology shards` with the number of shards removes that binding"
        )
    return None


def needed_bindings(shards: int) -> dict[Exchange, list[FoundBinding]]:
    """Each exchange of a site with so many shards, and the bindings that it must have."""
    if shards == 1:
        return {PUBLISHED: [FoundBinding("queue", REPORTS, PUBLISHED.key)]}
    return {
        PUBLISHED: [FoundBinding("exchange", SPREAD.name, PUBLISHED.key)],
        SPREAD: [FoundBinding("queue", name, SPREAD.key) for name in reports(shards)],
    }


def _arguments(needed: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    for name in sorted({*needed, *found}):
        if needed.get(name) != found.get(name):
            yield f"{name} is {_value(found, name)}; needed is {_value(needed, name)}"


def _value(arguments: dict[str, Any], name: str) -> str:
    return f"'{arguments[name]}'" if name in arguments else "not set"


def _harmful_settings(needed: Queue, force: Force) -> Iterator[str]:
    """The problems that a definition causes for a queue with its arguments.

    For quorum queues, RabbitMQ uses the smaller of two numbers, the overflow of the policy, and
    the dead-letter settings of the arguments: a policy's dead-letter exchange changes nothing.
    """
    definition, sources = force
    for key, effect in _HARMFUL.items():
        if key in definition:
            yield f"{sources[key]} sets {key} to {definition[key]}: {effect}"
    own = needed.arguments.get("x-overflow")
    limits = [key for key in _LIMITS if key in definition]
    overflow = definition.get("overflow", own or "drop-head")
    if own == _DROPS and overflow != _DROPS:
        yield (
            f"{sources['overflow']} sets overflow {overflow}: the old messages keep new ones out; "
            f"needed is {_DROPS}"
        )
    if own != _DROPS and overflow != _KEEPS and (limits or own):
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


_NAME = "statesys topology check"
_UNSEEN = (
    "policies and operator policies",
    "reply queues of fleets",
    "queues of a broker that compares arguments loosely",
)


class Checked(NamedTuple):
    """A queue or exchange, and its problems; without any it is right."""

    what: str
    problems: list[str]


class Check(NamedTuple):
    """The result of a check.

    Attributes:
        unseen: what could not be checked, in words.
        trouble: why the management API could not be read, although its URL is set.
    """

    checked: list[Checked]
    unseen: list[str]
    trouble: BrokerUnavailable | None = None

    @property
    def wrong(self) -> int:
        """How many have problems."""
        return sum(1 for one in self.checked if one.problems)


def check(settings: Settings) -> Check:
    """Declare our queues and exchanges, and inspect what the management API shows.

    Raises:
        BrokerUnavailable: the broker cannot be reached by AMQP.
        SettingsError: the settings name no broker.
    """
    amqp_url, management_url = settings.required_amqp_url(), settings.optional_management_url()
    unseen: list[str] = []
    with Administration(amqp_url, name=_NAME) as admin:
        shards = count_shards(admin)
        needed = queues(shards)
        declared = {queue.name: _declared(admin, queue, unseen) for queue in needed}
    # Shards share their exchanges.
    unseen = list(dict.fromkeys(unseen))
    if management_url is None:
        return Check(_by_amqp(declared), [*unseen, *_UNSEEN])
    try:
        found = inspect(management_url, amqp_url)
    except BrokerUnavailable as error:
        return Check(_by_amqp(declared), [*unseen, *_UNSEEN], error)
    # The API shows every difference; a declaration names only the first.
    return Check(judge(declared, found, shards), [])


def _declared(admin: Administration, queue: Queue, unseen: list[str]) -> list[str]:
    """The error with which RabbitMQ refuses a declaration; empty when it accepts it."""
    try:
        unseen += admin.declare([queue])
    except (TopologyWrong, PermissionMissing) as error:
        return [str(error)]
    return []


def _by_amqp(declared: dict[str, list[str]]) -> list[Checked]:
    return [Checked(f"queue {name}", problems) for name, problems in declared.items()]


def judge(declared: dict[str, list[str]], found: Inspection, shards: int) -> list[Checked]:
    """The problems of each exchange and queue of a site.

    Args:
        declared: by queue, the error with which RabbitMQ refused its declaration, if it did.
        found: what the management API shows.
        shards: how many there are.
    """
    there_are = {queue.name: queue for queue in found.queues}
    needed = queues(shards)
    (like,) = (queue for queue in needed if queue.name == RESYNC)
    replies = [like._replace(name=name) for name in sorted(filter(is_reply_queue, there_are))]
    checked = [
        Checked(
            f"exchange {exchange.name}",
            judge_exchange(exchange, bound, found.exchanges.get(exchange.name), found.policies),
        )
        for exchange, bound in needed_bindings(shards).items()
    ]
    exchanges_are_right = not any(one.problems for one in checked)
    for queue in (*needed, *replies):
        there, refused = there_are.get(queue.name), declared.get(queue.name, [])
        if there is None:
            problems = refused or ["does not exist"]
        else:
            problems = judge_queue(queue, there, found.policies)
            # A refused declaration is a problem even where the API shows none. A queue is declared
            # with its exchanges, so one that is wrong explains the refusal.
            if not problems and (queue.exchange is None or exchanges_are_right):
                problems = refused
        checked.append(Checked(f"queue {queue.name}", problems))
    return checked
