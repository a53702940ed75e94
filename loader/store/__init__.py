"""The loader's queries: what loader threads and periodic tasks do in PostgreSQL."""

from loader.store.activity import ActivityStore
from loader.store.chunks import ChunkStore, Loaded
from loader.store.clients import ClientStore, Removed
from loader.store.collections import CollectionStore
from loader.store.partitions import PartitionStore
from loader.store.quarantine import QuarantineStore
from loader.store.resyncs import ResyncStore, UnsentRequest
from loader.store.sites import RunningLoader
from loader.store.workers import WorkerStore
from runtime.database import PoisonError

__all__ = [
    "ActivityStore",
    "ChunkStore",
    "ClientStore",
    "CollectionStore",
    "Loaded",
    "PartitionStore",
    "PoisonError",
    "QuarantineStore",
    "Removed",
    "ResyncStore",
    "RunningLoader",
    "UnsentRequest",
    "WorkerStore",
]
