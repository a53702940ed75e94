"""Asks the broker about every queue and exchange, by AMQP and by the management API."""

from typing import NamedTuple

from console.topology.judging import judge_exchange, judge_queue
from runtime.broker import Administration
from runtime.broker.inspection import Inspection, inspect
from runtime.settings import Settings
from schemas.errors import BrokerUnavailable, PermissionMissing, TopologyWrong
from schemas.topology import QUEUES, REPORTS, RESYNC, Queue, is_reply_queue

_NAME = "statesys topology check"
_UNSEEN = (
    "policies and operator policies",
    "reply queues of fleets",
    "queues of a broker that compares arguments loosely",
)


class Checked(NamedTuple):
    """A queue or exchange, and what is wrong with it; nothing is right."""

    what: str
    problems: list[str]


class Check(NamedTuple):
    """What was found.

    Attributes:
        unseen: what could not be looked at, in words.
        trouble: why the management API could not be read, though there is a URL for it.
    """

    checked: list[Checked]
    unseen: list[str]
    trouble: BrokerUnavailable | None = None

    @property
    def wrong(self) -> int:
        """How many have problems."""
        return sum(1 for one in self.checked if one.problems)


def check(settings: Settings) -> Check:
    """Declare what is ours, and look at the rest.

    Raises:
        BrokerUnavailable: AMQP cannot be had.
        SettingsError: no broker.
    """
    amqp_url, management_url = settings.required_amqp_url(), settings.optional_management_url()
    unseen: list[str] = []
    with Administration(amqp_url, name=_NAME) as admin:
        declared = {queue.name: _declared(admin, queue, unseen) for queue in QUEUES}
    if management_url is None:
        return Check(_by_amqp(declared), [*unseen, *_UNSEEN])
    try:
        found = inspect(management_url, amqp_url)
    except BrokerUnavailable as error:
        return Check(_by_amqp(declared), [*unseen, *_UNSEEN], error)
    # What it tells is more than the first difference that a declaration names, or the same.
    return Check(_by_both(declared, found), [])


def _declared(admin: Administration, queue: Queue, unseen: list[str]) -> list[str]:
    """What RabbitMQ says against a declaration."""
    try:
        unseen += admin.declare([queue])
    except (TopologyWrong, PermissionMissing) as error:
        return [str(error)]
    return []


def _by_amqp(declared: dict[str, list[str]]) -> list[Checked]:
    return [Checked(f"queue {name}", problems) for name, problems in declared.items()]


def _by_both(declared: dict[str, list[str]], found: Inspection) -> list[Checked]:
    queues = {queue.name: queue for queue in found.queues}
    (like,) = (queue for queue in QUEUES if queue.name == RESYNC)
    replies = [like._replace(name=name) for name in sorted(filter(is_reply_queue, queues))]
    checked = [Checked(f"exchange {REPORTS}", judge_exchange(found.exchange, found.policies))]
    for queue in (*QUEUES, *replies):
        there = queues.get(queue.name)
        problems = (
            declared[queue.name] or ["does not exist"]
            if there is None
            else judge_queue(queue, there, found.policies)
        )
        checked.append(Checked(f"queue {queue.name}", problems))
    # Where the API shows nothing wrong, a refused declaration still is.
    if not any(one.problems for one in checked):
        checked += [one for one in _by_amqp(declared) if one.problems]
    return checked
