"""Read the records of both sides as ordered streams, and compare them client by client."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby
from uuid import UUID

from console.queries import Queries
from lab.verify.comparison import ByClient, Received, Row, Sent, State, compare
from lab.verify.injected import InjectedFaults
from lab.verify.verdict import Tally
from producers.store import StoreReader
from schemas.serials import SerialRanges

#: Serials in dead letters, by client.
DeadSerials = Mapping[UUID, SerialRanges]


def tally(store: StoreReader, later: StoreReader, queries: Queries, dead: DeadSerials) -> Tally:
    """Compare all clients.

    Args:
        store: in a snapshot that is older than that of `queries`, so that its messages have
            arrived by then, or never will.
        later: the same store, in a snapshot that is younger than that of `queries`.
        queries: in a snapshot.
        dead: read after `store`'s snapshot was taken.
    """
    result = Tally()
    clients = ByClient(queries.accounts(), lambda c: c.client_id)
    rows = ByClient(queries.histories(), lambda r: r.client_id)
    currents = ByClient(queries.currents(), lambda r: r.client_id)
    known = 0
    for sent in _sent(store, later):
        received = Received()
        for account in clients.take(sent.client_id):
            known += 1
            received = Received(
                resynced_below=account.resynced_below,
                accounted=account.accounted,
                duplicate_identity=account.duplicate_identity,
                missing=account.missing,
                rows=[Row(r.serial, r.digest, r.reused) for r in rows.take(sent.client_id)],
                states={
                    (c.topic_type, c.topic_id, c.user_sid): State(c.digest, c.serial)
                    for c in currents.take(sent.client_id)
                },
            )
        result.add(compare(sent, received, dead.get(sent.client_id, SerialRanges())))
    for client_id in queries.inconsistent():
        result.add_inconsistent(client_id)
    result.foreign_clients = queries.totals().clients - known
    return result


def _sent(store: StoreReader, later: StoreReader) -> Iterator[Sent]:
    """Yield the store's records of each client id, in the order of the ids."""
    outbox: defaultdict[UUID, list[tuple[int, int]]] = defaultdict(list)
    # The outbox fits into memory: a window of reports, or what an outage left.
    for waiting in store.outbox_ranges():
        outbox[waiting.client_id].append((waiting.first_serial, waiting.last_serial))
    injected = InjectedFaults(store)
    present = ByClient(later.clients(), lambda c: c.client_id)
    messages = ByClient(store.sent(), lambda m: m.client_id)
    states = ByClient(store.states(), lambda s: s.client_id)
    # Two machines with one id are neighbours in this order, and one client for the server.
    for client_id, found in groupby(store.clients(), lambda c: c.client_id):
        machines = list(found)
        numbered = list(messages.take(client_id))
        latest = {m.serial: m for m in numbered}
        highest = max(machine.highest_serial for machine in machines)
        destroyed = injected.destroyed(client_id, numbered)
        yield Sent(
            client_id=client_id,
            last_serial=highest,
            last_serial_now=max(highest, *(c.highest_serial for c in present.take(client_id))),
            messages={serial: m.digest for serial, m in latest.items()},
            former=[Row(m.serial, m.digest) for m in numbered if m is not latest[m.serial]],
            destroyed=frozenset(Row(m.serial, m.digest) for m in destroyed),
            bygone=frozenset(
                Row(m.serial, m.digest)
                for m in destroyed
                if m.life not in {machine.life for machine in machines}
            ),
            hidden=len(machines) == 1 and injected.hides(machines[0], numbered, destroyed),
            outbox=SerialRanges(outbox.get(client_id, ())),
            states={
                (s.topic_type, s.topic_id, s.user_sid): State(s.digest, s.serial)
                for s in states.take(client_id)
            },
        )
