"""Wait until everything that was sent has arrived, then compare."""

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from console.dead.box import Box
from console.dead.search import contents
from console.queries import Queries
from lab.servers import Servers
from lab.verify.backlog import Backlog, look, wait_until_empty
from lab.verify.reconcile import tally
from lab.verify.verdict import Tally
from producers.store import StoreReader
from runtime.broker import Administration
from runtime.broker.management import STALENESS
from schemas.serials import SerialRanges

#: Dead letters that are read at most, which takes about a minute.
MOST_LETTERS = 100_000
#: Seconds between two comparisons.
_PAUSE = 1.0
_NAME = "statesys verify"


class Outcome(NamedTuple):
    """The result of `verify`.

    Attributes:
        tally: None without a comparison, because the work queues did not become empty.
        backlog: the last backlog seen.
    """

    tally: Tally | None
    backlog: Backlog

    @property
    def verified(self) -> bool:
        """Whether the promise holds."""
        return self.tally is not None and self.tally.holds


def verify(
    directory: Path,
    servers: Servers,
    *,
    timeout: float,
    pause: Callable[[float], object] = time.sleep,
) -> Outcome:
    """Wait until the work queues are empty, then compare store and database.

    With empty queues, workers may still hold unacked messages. AMQP does not tell their number,
    and the management API tells it late. A comparison that holds is final all the same, since a
    message that arrived stays. One that fails is repeated as long as unacked messages may be the
    reason.

    Args:
        directory: of the fleet's store; a running fleet may own it.
        servers: RabbitMQ and PostgreSQL.
        timeout: seconds to wait for the work queues at most.
        pause: waits the given seconds.

    Raises:
        BrokerUnavailable, DatabaseUnavailable, SchemaMissing: no comparison was possible.
        StatesysError: there is no such store.
    """
    deadline = time.monotonic() + timeout
    failing_since: float | None = None
    with (
        Administration(servers.amqp_url, name=_NAME) as admin,
        Queries.open(servers.database_url, name=_NAME) as queries,
    ):

        def see() -> Backlog:
            return look(admin, servers)

        while True:
            # Snapshot the store first: all that it had sent then is loaded, refused or lost
            # once the queues are empty.
            with StoreReader(directory) as store, store.snapshot():
                # A snapshot begins with the first read.
                store.totals()
                backlog = wait_until_empty(see, deadline=deadline, pause=pause)
                if not backlog.empty:
                    return Outcome(None, backlog)
                outcome = Outcome(_compare(store, directory, admin, queries), backlog)
            now = time.monotonic()
            if failing_since is None:
                failing_since = now
            if outcome.verified or now >= min(deadline, failing_since + STALENESS):
                return outcome
            pause(_PAUSE)


def _compare(store: StoreReader, directory: Path, admin: Administration, queries: Queries) -> Tally:
    box = Box(admin)
    dead = dead_serials(box)
    with queries.snapshot(), StoreReader(directory) as later:
        result = tally(store, later, queries, dead)
    result.letters_cut = box.cut
    return result


def dead_serials(box: Box) -> dict[UUID, SerialRanges]:
    """Read the serials in dead letters, by client."""
    found: defaultdict[UUID, list[tuple[int, int]]] = defaultdict(list)
    for letter, delivery in box.look(most=MOST_LETTERS):
        for client_id, first, last in contents(letter, delivery):
            found[client_id].append((first, last))
    return {client_id: SerialRanges(runs) for client_id, runs in found.items()}
