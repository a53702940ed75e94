"""One fault, and the proof that nothing came of it."""

import time
from collections import Counter
from contextlib import ExitStack, closing
from datetime import timedelta
from random import Random
from typing import NamedTuple

from console.dead.box import Box
from console.queries import Queries
from lab.demo.run import Convergence
from lab.verify.verifying import Outcome as Verification
from lab.verify.verifying import verify
from loader.store import ResyncStore
from producers.fleet import Fleet, utc_now
from producers.hostile.malformed import REASONS
from producers.plan import Plan
from producers.store import Store
from runtime.broker import Administration
from schemas.errors import StatesysError
from schemas.refusal import Reason
from tests.chaos.copying import copied_rules
from tests.chaos.faults import Strike
from tests.chaos.site import CLIENTS, MIN_MISSING_AGE, Site
from tests.support.agreement import walk_days

#: Messages that the fleet numbers before a fault strikes, at least and at most: its moment.
_MOMENT = (20, 900)
#: Messages that it numbers after the fault, before it has to account for everything.
_AFTERWARDS = 50
#: Seconds for the queues to become empty, once everything has arrived.
_VERIFY_TIMEOUT = 20.0
#: Seconds for a hostile fleet to be known as it is.
_REST_TIMEOUT = 180.0
#: How far a hostile fleet's unanswered days are walked through.
_BOUNDARIES = 5
_NAME = "matrix"


class Outcome(NamedTuple):
    """What became of a fault.

    Attributes:
        fault: its name.
        after: messages that the site had numbered when it struck.
        progress: seconds from a server's return until the workers got something done, if one
            was away.
        seconds: from its end until everything was proved.
        messages: that were looked for.
        problems: what breaks the promise; empty means verified.
    """

    fault: str
    after: int
    progress: float | None
    seconds: float
    messages: int
    problems: tuple[str, ...]


def attempt(site: Site, name: str, strike: Strike, rng: Random) -> Outcome:
    """Let the fleet live, strike at a random moment, and look whether everything is there."""
    after, progress = site.numbered(), None
    try:
        site.await_work()
        site.live()
        site.await_numbered(site.numbered() + rng.randint(*_MOMENT))
        after = site.numbered()
        progress = strike(site, rng)
        over = time.monotonic()
        site.await_numbered(site.numbered() + _AFTERWARDS)
        site.stop_living()
        disagreements = _disagreements(site) if site.hostile else ()
        messages, problems = _proved(site)
        site.check()
    except StatesysError as error:
        return Outcome(name, after, progress, 0, 0, (str(error),))
    seconds = time.monotonic() - over
    return Outcome(name, after, progress, seconds, messages, (*disagreements, *problems))


def _disagreements(site: Site) -> tuple[str, ...]:
    """Where readers and the check do not say the same of who is asked, now and in days to come."""
    with copied_rules(site.addresses.database_url) as url:
        try:
            walk_days(url, _BOUNDARIES)
        except AssertionError as error:
            return (str(error),)
    return ()


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
        if site.hostile:
            outcome = _came_to_rest(site, fleet)
        else:
            # A lost last report shows with the next message.
            fleet.heartbeat_all()
            arrived = Convergence(store, queries, check=site.check, show=lambda _state: None)
            fleet.answer_requests(until=arrived.reached)
            outcome = verify(site.fleet, addresses, timeout=_VERIFY_TIMEOUT)
    if outcome.tally is None:
        return 0, (f"still on the way: {outcome.backlog}",)
    found = outcome.tally
    return found.messages, (*found.problems, *found.offenders, *_strange_letters(site))


def _came_to_rest(site: Site, fleet: Fleet) -> Verification:
    """Heartbeats and answers until a hostile fleet is proved, and nobody has to be asked.

    Counting serials would not do: those of a rolled-back store go back. And one heartbeat need not
    be enough to show that it was: another may be the first with a serial that arrived before.
    """
    deadline = time.monotonic() + _REST_TIMEOUT
    with closing(_resyncs(site)) as resyncs:

        def quiet() -> bool:
            site.check()
            for client_id in site.reported():
                # Many rollbacks in a day look like two machines; an operator knows better.
                resyncs.request(client_id, now=resyncs.now())
            nobody = not site.asked() and not resyncs.preview(now=resyncs.now(), limit=1)
            return nobody or time.monotonic() > deadline

        while True:
            fleet.heartbeat_all()
            fleet.answer_requests(until=quiet)
            outcome = verify(site.fleet, site.addresses, timeout=_VERIFY_TIMEOUT)
            if (outcome.verified and quiet()) or time.monotonic() > deadline:
                return outcome


def _resyncs(site: Site) -> ResyncStore:
    """The requests, by the loaders' rules."""
    return ResyncStore(
        site.addresses.database_url,
        name=_NAME,
        min_missing_age=MIN_MISSING_AGE,
        merge_interval=timedelta(0),
    )


def _strange_letters(site: Site) -> tuple[str, ...]:
    """Dead letters that no damaged report explains: no fault here makes poison."""
    reasons = REASONS if site.hostile else (Reason.NOT_WELL_FORMED,)
    with Administration(site.addresses.amqp_url, name=_NAME) as admin:
        letters = Counter((letter.stage, letter.reason) for letter, _ in Box(admin).look())
    expected = {("relay", reason.value) for reason in reasons}
    return tuple(
        f"{count} dead letters of {stage}: {reason}"
        for (stage, reason), count in letters.items()
        if (stage, reason) not in expected
    )
