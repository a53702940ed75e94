"""Faults injected into clients, as far as they change what the server can know.

A store that was rolled back numbers new messages with old serials. The server notices when two
different messages arrive under one serial, or when a report with old serials is dated clearly after
the one with the highest. When all such messages were destroyed on their way, the server cannot
know; and a clock that ran ahead takes away the second sign.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from producers.hostile import destroys
from producers.store import FleetClient, SentMessage, StoreReader
from schemas.serials import SerialRanges


class InjectedFaults:
    """The injected faults of clients with more than one life.

    Args:
        store: in a snapshot.
    """

    def __init__(self, store: StoreReader) -> None:
        self._several = {client.client_id for client in store.clients() if client.life}
        several = self._several
        lost: defaultdict[tuple[UUID, int], list[tuple[int, int]]] = defaultdict(list)
        self._clocks: set[UUID] = set()
        for fault in store.injected() if several else ():
            if fault.client_id not in several:
                continue
            if destroys(fault.fault):
                at = (fault.client_id, fault.life)
                lost[at].append((fault.first_serial, fault.last_serial))
            elif fault.fault == "clock":
                self._clocks.add(fault.client_id)
        self._lost = {key: SerialRanges(ranges) for key, ranges in lost.items()}

    def destroyed(self, client_id: UUID, numbered: Sequence[SentMessage]) -> set[SentMessage]:
        """The destroyed messages of a client; empty for a client with one life."""
        if client_id not in self._several:
            return set()
        nothing = SerialRanges()
        return {m for m in numbered if m.serial in self._lost.get((client_id, m.life), nothing)}

    def hides(
        self,
        client: FleetClient,
        numbered: Sequence[SentMessage],
        destroyed: Collection[SentMessage],
    ) -> bool:
        """Whether no message that arrived can show that the client's store was rolled back."""
        former = [m.serial for m in numbered if m.life != client.life]
        if not former:
            return False
        arrived = [m for m in numbered if m not in destroyed]
        under = Counter(m.serial for m in arrived)
        own = [m.serial for m in arrived if m.life == client.life and m.serial <= max(former)]
        if any(under[serial] > 1 for serial in own):
            return False
        return not own or client.client_id in self._clocks
