"""The durable store of a fleet: a SQLite file with serials, states and the outbox of its clients.

Other processes read it with `StoreReader(directory)`, also while a running fleet owns it::

    with StoreReader(Path(".statesys/fleet")) as store, store.snapshot():
        for message in store.sent():
            ...
"""

from producers.store.reading import StoreReader
from producers.store.values import (
    Answer,
    FleetClient,
    InjectedFault,
    OutboxReport,
    SentMessage,
    StoreTotals,
)
from producers.store.writing import Store

__all__ = [
    "Answer",
    "FleetClient",
    "InjectedFault",
    "OutboxReport",
    "SentMessage",
    "Store",
    "StoreReader",
    "StoreTotals",
]
