"""One fault, and the proof that nothing came of it."""

import time
from collections import Counter
from contextlib import ExitStack
from random import Random
from typing import NamedTuple

from console.dead.box import Box
from console.demo.convergence import Convergence
from console.queries import Queries
from console.verify.verifying import verify
from producers.fleet import Fleet, utc_now
from producers.plan import Plan
from producers.store import Store
from runtime.broker import Administration
from schemas.errors import StatesysError
from schemas.refusal import Reason
from tests.matrix.faults import Strike
from tests.matrix.site import CLIENTS, Site

#: Messages that the fleet numbers before a fault strikes, at least and at most: its moment.
_MOMENT = (20, 900)
#: Messages that it numbers after the fault, before it has to account for everything.
_AFTERWARDS = 50
#: Seconds for the queues to become empty, once everything has arrived.
_VERIFY_TIMEOUT = 20.0
_NAME = "matrix"


class Outcome(NamedTuple):
    """What became of a fault.

    Attributes:
        fault: its name.
        after: messages that the site had numbered when it struck.
        seconds: from its end until everything was proved.
        messages: that were looked for.
        problems: what breaks the promise; empty means verified.
    """

    fault: str
    after: int
    seconds: float
    messages: int
    problems: tuple[str, ...]


def attempt(site: Site, name: str, strike: Strike, chance: Random) -> Outcome:
    """Let the fleet live, strike at a random moment, and look whether everything is there."""
    after = site.numbered()
    try:
        site.live()
        site.await_numbered(site.numbered() + chance.randint(*_MOMENT))
        after = site.numbered()
        strike(site, chance)
        over = time.monotonic()
        site.await_numbered(site.numbered() + _AFTERWARDS)
        site.stop_living()
        messages, problems = _proved(site)
        site.check()
    except StatesysError as error:
        return Outcome(name, after, 0, 0, (str(error),))
    return Outcome(name, after, time.monotonic() - over, messages, problems)


def _proved(site: Site) -> tuple[int, tuple[str, ...]]:
    """Let everything come to rest, and hold the clients' stores against the database.

    Returns:
        How many messages were looked for, and what breaks the promise.
    """
    addresses = site.addresses
    with ExitStack() as stack:
        store = stack.enter_context(Store(site.fleet, seed=None, clients=None, now=utc_now()))
        plan = Plan(clients=CLIENTS, seed=store.seed)
        fleet = stack.enter_context(Fleet(store, addresses.amqp_url, plan))
        queries = stack.enter_context(Queries.open(addresses.database_url, name=_NAME))
        # A lost last report shows with the next message.
        fleet.heartbeat_all()
        arrived = Convergence(store, queries, check=site.check, tell=lambda _state: None)
        fleet.answer_requests(until=arrived.reached)
    outcome = verify(site.fleet, addresses, timeout=_VERIFY_TIMEOUT)
    if outcome.tally is None:
        return 0, (f"still on the way: {outcome.backlog}",)
    found = outcome.tally
    return found.messages, (*found.problems, *found.offenders, *_strange_letters(site))


def _strange_letters(site: Site) -> tuple[str, ...]:
    """Dead letters that no damaged report explains: no fault here makes poison."""
    with Administration(site.addresses.amqp_url, name=_NAME) as desk:
        letters = Counter((letter.stage, letter.reason) for letter, _ in Box(desk).look())
    expected = ("relay", Reason.NOT_WELL_FORMED.value)
    return tuple(
        f"{count} dead letters of {stage}: {reason}"
        for (stage, reason), count in letters.items()
        if (stage, reason) != expected
    )
