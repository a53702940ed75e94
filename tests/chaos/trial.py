"""One fault, and the proof that the promise holds after it."""

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
from loader.store.resyncs import ResyncStore
from producers.fleet import Fleet, utc_now
from producers.hostile.malformed import REASONS
from producers.plan import Plan
from producers.store import Store
from runtime.broker import Administration
from schemas.errors import StatesysError
from schemas.refusal import Reason
from tests.chaos.copying import copied_rules
from tests.chaos.faults import Strike
from tests.chaos.programs import CLIENTS, MIN_MISSING_AGE
from tests.chaos.site import Site
from tests.support.agreement import walk_days

#: Messages that the fleet numbers before a fault, at least and at most: its moment.
_MOMENT = (20, 900)
#: Messages that the fleet numbers after the fault, before the proof.
_AFTERWARDS = 50
#: Seconds for the queues to become empty, once everything has arrived.
_VERIFY_TIMEOUT = 20.0
#: Seconds until the server knows the states of a hostile fleet.
_REST_TIMEOUT = 180.0
#: Boundaries of the resync rules that are checked for a hostile fleet, without any answer.
_BOUNDARIES = 5
_NAME = "matrix"


class Outcome(NamedTuple):
    """The outcome of a fault.

    Attributes:
        fault: its name.
        after: messages that the site had numbered before it.
        progress: seconds from a server's return until the workers made progress; None if no
            server was away.
        seconds: from its end until the proof was complete.
        messages: number of messages in the proof.
        problems: what breaks the promise; empty means verified.
    """

    fault: str
    after: int
    progress: float | None
    seconds: float
    messages: int
    problems: tuple[str, ...]


def attempt(site: Site, name: str, strike: Strike, rng: Random) -> Outcome:
    """Run the fleet, inject a fault at a random moment, and check the promise."""
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
    """Where readers and the check disagree on the clients to ask, now and in later days."""
    with copied_rules(site.addresses.database_url) as url:
        try:
            walk_days(url, _BOUNDARIES)
        except AssertionError as error:
            return (str(error),)
    return ()


def _proved(site: Site) -> tuple[int, tuple[str, ...]]:
    """Wait until everything has arrived, and compare the clients' stores with the database.

    Returns:
        How many messages were compared, and what breaks the promise.
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
            # The next message reveals that a client's last report was lost.
            fleet.heartbeat_all()
            arrived = Convergence(store, queries, check=site.check, show=lambda _state: None)
            fleet.answer_requests(until=arrived.reached)
            outcome = verify(site.fleet, addresses, timeout=_VERIFY_TIMEOUT)
    if outcome.tally is None:
        return 0, (f"still on the way: {outcome.backlog}",)
    found = outcome.tally
    return found.messages, (*found.problems, *found.offenders, *_strange_letters(site))


def _came_to_rest(site: Site, fleet: Fleet) -> Verification:
    """Send heartbeats and answers until a hostile fleet is verified and no client has to be asked.

    The serials do not show the end: those of a rolled-back store go back. One heartbeat may not
    reveal the rollback: a later one may be the first with a serial that arrived before.
    """
    deadline = time.monotonic() + _REST_TIMEOUT
    with closing(_resyncs(site)) as resyncs:

        def quiet() -> bool:
            site.check()
            for client_id in site.reported():
                # Many rollbacks in a day look like two machines; an operator would ask again.
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
    """Open the store of requests, with the loaders' rules."""
    return ResyncStore(
        site.addresses.database_url,
        name=_NAME,
        min_missing_age=MIN_MISSING_AGE,
        merge_interval=timedelta(0),
    )


def _strange_letters(site: Site) -> tuple[str, ...]:
    """Dead letters that no damaged report explains; no fault here creates poison."""
    reasons = REASONS if site.hostile else (Reason.NOT_WELL_FORMED,)
    with Administration(site.addresses.amqp_url, name=_NAME) as admin:
        letters = Counter((letter.stage, letter.reason) for letter, _ in Box(admin).look())
    expected = {("relay", reason.value) for reason in reasons}
    return tuple(
        f"{count} dead letters of {stage}: {reason}"
        for (stage, reason), count in letters.items()
        if (stage, reason) not in expected
    )
