"""A loader process: starts and stops the consumer, loader threads and periodic tasks in order."""

import math
import resource
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial

import structlog

from loader.activity import TOPICS_WRITTEN, ActivityTask, TopicCounts
from loader.aside import Aside
from loader.consumer import BatchConsumer
from loader.dead_letters import DeadLetterPublisher
from loader.heartbeats import HeartbeatTask
from loader.inbox import Inbox
from loader.loading_thread import LoaderThread
from loader.quarantine import QuarantineTask
from loader.reader import Reader
from loader.resync import URGENT_INTERVAL, ResyncTask
from loader.store.activity import ActivityStore
from loader.store.chunks import ChunkStore
from loader.store.collections import CollectionStore
from loader.store.quarantine import QuarantineStore
from loader.store.resyncs import ResyncStore
from loader.store.sites import RunningLoader
from loader.store.workers import WorkerStore
from loader.tasks import (
    COLLECTIONS_TRIED,
    PARTITION_INTERVAL,
    TOTALS_TRIED,
    evaluate_collections,
    keep_partitions,
    keep_totals,
    make_partitions,
)
from runtime.broker import declare, require_write
from runtime.closing import close_in_order
from runtime.database.timelines import Timelines
from runtime.rules import SiteRules
from runtime.settings import Settings
from runtime.workers import HeartbeatFile
from runtime.workers.periodic import PeriodicTask
from runtime.workers.reporting import REPORT_INTERVAL, Reporter
from runtime.workers.retry import until_available
from runtime.workers.shards import Shards
from schemas.errors import BrokerUnavailable, DatabaseUnavailable, StatesysError
from schemas.topology import incoming, queues
from schemas.workers import Role

_log = structlog.get_logger()
_KIB = 1024
#: Seconds to wait for the threads to finish their chunks when stopping.
_FINISH_TIMEOUT = 30.0
#: Seconds to wait then for all periodic tasks, of which some publish or store a last time.
_TASKS_TIMEOUT = 5.0
#: Seconds between two heartbeats during these waits.
_BEAT = 1.0
#: Open files for each loader thread (one connection, three for its reader), and for the rest.
_FILES_OF_THREAD, _FILES = 4, 48


class Loader:
    """One loader process.

    Args:
        settings: the settings of the process, as `settings_at_site` completes them.
        stop: set it to stop the loader; see `run` for the order.
    """

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._amqp_url = settings.required_amqp_url()
        self._database_url = settings.required_database_url()
        self._this = RunningLoader.here(SiteRules.of(settings), given=settings.model_fields_set)
        # Set after the consumer has stopped: loader threads and periodic tasks end later than it.
        self._halt = threading.Event()
        # Set after the loader threads have ended: then all they committed is counted.
        self._counted = threading.Event()
        self._topics = TopicCounts()
        self._timelines = Timelines(settings.home / "timelines")
        self._shards = Shards(self._amqp_url, name="statesys loader shards")
        self._consumed = self._shards.known
        first = incoming(self._consumed)
        chunk_bytes = settings.loader_chunk_size * _KIB
        self._inbox = Inbox(
            first,
            chunk_bytes=chunk_bytes,
            wait=settings.inbox_polling_interval.total_seconds(),
            together=settings.chunks_together,
        )
        self._consumer = BatchConsumer(
            self._amqp_url, queues=first, inbox=self._inbox, prefetch=_prefetch(settings)
        )
        self._heartbeat = HeartbeatFile(settings.home, "loader")
        self._reporter = Reporter(Role.LOADER, settings, self._heartbeat)
        self._aside = Aside(self._heartbeat)
        self._letters = DeadLetterPublisher(
            self._amqp_url,
            stop=self._halt,
            heartbeat=self._heartbeat,
            tally=self._reporter.tally,
        )
        self._readers = [Reader(chunk_bytes) for _ in range(settings.threads)]
        self._loader_threads = [self._make_thread(*one) for one in enumerate(self._readers, 1)]
        self._tasks = self._make_tasks()

    def run(self, *, exit_when_empty: bool = False) -> None:
        """Run until stopped.

        To stop, the loader stops consuming, finishes the chunks in hand, acks their batches and
        closes its connections. The broker requeues batches that no thread has begun to load.

        Args:
            exit_when_empty: also end after a second with empty queues and no unsettled batch.

        Raises:
            SchemaMissing: the database is not migrated to this version.
            StatesysError: a newer version made the tables, the limit of open files is too low, or
                a reader process has ended.
            DatabaseUnavailable: at the start, the database cannot be reached, is read-only, or the
                role lacks a right. If it becomes unavailable later, the loader waits for it.
            BrokerUnavailable: the broker cannot be reached at the start. If it becomes unavailable
                later, the loader waits for it.
            PermissionMissing: the broker's user lacks a permission, at the start or later.
            TopologyWrong: a queue or exchange has the wrong properties. The loader checks them
                before it consumes, at the start and after a lost connection.
        """
        _require_files(len(self._readers))
        self._heartbeat.beat(held=0, now=True)
        try:
            for reader in self._readers:
                reader.start()
            self._prepare()
            for thread in self._threads():
                thread.start()
            until_available(self._stop, "loader", self._heartbeat)(self._consume, exit_when_empty)
        except (BrokerUnavailable, DatabaseUnavailable):
            # Stopped while a server is unavailable.
            if not self._stop.is_set():
                raise
        finally:
            self._shut_down()
        self._raise_failures()

    def _prepare(self) -> None:
        """Check database and broker, make partitions, and write the site's rules."""
        for step in (
            self._check_database,
            partial(make_partitions, self._database_url),
            partial(require_write, self._amqp_url, name="statesys loader"),
            self._write_rules,
        ):
            step()
            # Each step may wait for a server for seconds.
            self._heartbeat.beat(held=0)

    def _check_database(self) -> None:
        # Opening the store prepares all statements of a chunk, which need the tables, and refuses a
        # server that missed a promotion.
        self._chunk_store("loader").close()

    def _write_rules(self) -> None:
        with closing(self._resync_store()) as store:
            if store.site.start(self._this):
                _log.info("loader.rules_written", **self._this.rules.as_text())

    def _consume(self, exit_when_empty: bool) -> None:  # noqa: FBT001 (called by tenacity)
        # On each connection: a broker may come back without its queues.
        found = declare(self._amqp_url, queues, name="statesys loader")
        self._shards.note(found.shards)
        self._heartbeat.note(found.note)
        self._cover()
        broker = self._consumer.connect()
        self._heartbeat.progress("loader")
        _log.info(
            "loader.consuming",
            threads=len(self._loader_threads),
            shards=self._consumed,
            broker=broker,
        )
        while not self._stop.is_set():
            if self._cover():
                _log.info("loader.shards_added", shards=self._consumed)
            self._consumer.step()
            self._heartbeat.beat(held=self._consumer.held)
            if any(thread.failure for thread in self._threads()):
                return
            if exit_when_empty and self._consumer.empty():
                return

    def _cover(self) -> bool:
        """Consume also the shards that became known.

        Returns:
            Whether there were any.
        """
        new = self._shards.known > self._consumed
        if new:
            self._consumed = self._shards.known
            self._consumer.cover(incoming(self._consumed))
        return new

    def _shut_down(self) -> None:
        _log.info("loader.stopping")
        close_in_order(
            self._consumer.stop_taking,
            self._inbox.close,
            self._halt.set,
            self._join_loader_threads,
            self._counted.set,
            *(reader.close for reader in self._readers),
            self._consumer.finish,
            self._consumer.close,
            partial(self._join, self._tasks, _TASKS_TIMEOUT),
            self._close_letters,
            self._heartbeat.end,
        )
        _log.info("loader.stopped")

    def _join_loader_threads(self) -> None:
        """Wait for the loader threads to finish their chunks.

        A hanging thread (in a frozen database, for example) ends with the process. The broker
        redelivers its batches, which are not acked.
        """
        self._join(self._loader_threads, _FINISH_TIMEOUT)
        hanging = [thread.name for thread in self._loader_threads if thread.is_alive()]
        if hanging:
            _log.warning("loader.chunks_unfinished", threads=hanging)

    def _join(self, threads: Sequence[threading.Thread], timeout: float) -> None:
        """Wait for threads to end, and write the heartbeat file meanwhile.

        Args:
            timeout: seconds for all of them together.
        """
        deadline = time.monotonic() + timeout
        for thread in threads:
            while thread.is_alive() and (left := deadline - time.monotonic()) > 0:
                thread.join(min(_BEAT, left))
                self._heartbeat.beat(held=self._consumer.held, stopping=True)

    def _close_letters(self) -> None:
        """Close the dead-letter publisher, unless a hanging thread may still use it."""
        if not any(thread.is_alive() for thread in self._loader_threads):
            self._letters.close()

    def _raise_failures(self) -> None:
        for thread in self._threads():
            if thread.failure is not None:
                raise thread.failure

    def _threads(self) -> list[LoaderThread | PeriodicTask]:
        return [*self._loader_threads, *self._tasks]

    def _make_thread(self, number: int, reader: Reader) -> LoaderThread:
        return LoaderThread(
            name=f"loader-{number}",
            inbox=self._inbox,
            aside=self._aside,
            reader=reader,
            open_store=self._chunk_store,
            letters=self._letters,
            trust=self._consumer.trust,
            settle=self._consumer.settle,
            count_topics=self._topics.add,
            stop=self._halt,
            heartbeat=self._heartbeat,
            tally=self._reporter.tally,
        )

    def _make_tasks(self) -> list[PeriodicTask]:
        resync = ResyncTask(self._resync_store, self._amqp_url, loader=self._this)
        activity = ActivityTask(lambda: ActivityStore(self._database_url), self._topics)
        heartbeats = HeartbeatTask(
            lambda: WorkerStore(self._database_url, name="statesys heartbeats"),
            self._amqp_url,
            reporter=self._reporter,
            heartbeat=self._heartbeat,
        )
        quarantine = QuarantineTask(
            lambda: QuarantineStore(self._database_url, name="statesys quarantine"),
            self._amqp_url,
            heartbeat=self._heartbeat,
        )
        partitions = partial(keep_partitions, self._database_url, self._settings.retention)
        totals = partial(keep_totals, self._resync_store)
        states = partial(keep_totals, self._resync_store, states=True)
        collections = partial(evaluate_collections, self._collection_store, self._halt)
        task = partial(PeriodicTask, stop=self._halt, heartbeat=self._heartbeat)
        return [
            task("resync", resync.run, every=URGENT_INTERVAL, at_end=resync.end),
            task("partitions", partitions, every=PARTITION_INTERVAL),
            task("totals", totals, every=TOTALS_TRIED),
            task("state totals", states, every=TOTALS_TRIED),
            task(
                "activity",
                activity.run,
                every=TOPICS_WRITTEN,
                stop=self._counted,
                at_end=activity.end,
            ),
            task("collections", collections, every=COLLECTIONS_TRIED),
            task("heartbeats", heartbeats.run, every=REPORT_INTERVAL, at_end=heartbeats.end),
            task("quarantine", quarantine.run, every=REPORT_INTERVAL),
            task("shards", self._shards.look, every=REPORT_INTERVAL),
        ]

    def _chunk_store(self, name: str) -> ChunkStore:
        return ChunkStore(
            self._database_url,
            name=f"statesys {name}",
            reuse_tolerance=self._settings.reuse_date_tolerance,
            max_ranges=self._settings.max_missing_ranges,
            min_missing_age=self._settings.min_missing_message_age,
            timelines=self._timelines,
        )

    def _resync_store(self) -> ResyncStore:
        return ResyncStore(self._database_url, name="statesys resync")

    def _collection_store(self) -> CollectionStore:
        return CollectionStore(self._database_url, name="statesys collections")


def _prefetch(settings: Settings) -> int:
    """Return how many batches to hold: `max_chunks_fetched` chunks, at least `threads` + 1."""
    chunks = settings.max_chunks_fetched * settings.loader_chunk_size
    return max(settings.threads + 1, math.ceil(chunks / settings.batch_size))


def _require_files(threads: int) -> None:
    """Check that the limit of open files allows the connections of all threads.

    Raises:
        StatesysError: the limit is too low.
    """
    needed = _FILES + threads * _FILES_OF_THREAD
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        raise StatesysError(
            f"{threads} threads need {needed} open files, and this process may have {allowed}: "
            "raise the limit (ulimit -n), or use fewer --threads"
        )
