"""Asks broker and database; when one of them is away, it still returns the other's half."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import NamedTuple

from console.dead.box import Box
from console.queries import Queries
from console.queries.history import KeptHistory
from console.queries.rows import QueueTime, RulesWritten, Totals
from console.queries.workers import WorkerRow, WorkerTotals
from runtime.broker import Administration
from runtime.broker.management import QueueStatistics, queue_statistics
from runtime.settings import Settings
from schemas.errors import ExitCode, StatesysError
from schemas.topology import QUEUES, Queue, is_reply_queue


class QueueStatus(NamedTuple):
    """A queue. None means unknown; a queue that does not exist has only None.

    Attributes:
        ready: waiting messages.
        unacked: delivered messages that are not settled.
        consumers: the number of its consumers.
        incoming: messages a second that arrive.
        settled: messages a second that are acknowledged.
    """

    name: str
    carries: str
    ready: int | None
    consumers: int | None
    unacked: int | None
    incoming: float | None
    settled: float | None


class DeadLetterCount(NamedTuple):
    """Dead letters of one reason."""

    stage: str
    reason: str
    letters: int


class BrokerStatus(NamedTuple):
    """The broker's half.

    Attributes:
        management: whether unacked counts and rates are known.
        letters_cut: there are more dead letters than were read.
    """

    queues: list[QueueStatus]
    dead: list[DeadLetterCount]
    letters_cut: bool
    management: bool


class DifferingLoader(NamedTuple):
    """A running loader that was started with other rules than the site's, which it follows.

    Attributes:
        rules: its own rules that differ, by name, as text.
    """

    name: str
    rules: dict[str, str]


class SiteStatus(NamedTuple):
    """The rules of the site, as text by name, and the loaders that differ from them."""

    rules: dict[str, str]
    written: RulesWritten
    differing: list[DifferingLoader]


class HistoryStatus(NamedTuple):
    """How far back the history reaches, and how large it is; days are UTC, by the loading.

    Attributes:
        oldest_day: the first day of which there are messages; None without any.
        bytes: size with indexes.
        full_days: days from the oldest one to yesterday, of which the means are; these are None
            without a full day.
        bytes_a_day, rows_a_day: means of a full day.
        days_ahead: coming days whose partitions exist.
        today: whether there is a partition for what is loaded now.
    """

    oldest_day: date | None
    bytes: int
    full_days: int
    bytes_a_day: int | None
    rows_a_day: int | None
    days_ahead: int
    today: bool


class DatabaseStatus(NamedTuple):
    """The database's half.

    Attributes:
        messages: rows of the history; `messages_exact` False means an estimate.
        workers: workers at work, and those that were lost within the last day.
        worker_totals: what the workers of each role have done, those that have ended included.
    """

    site: SiteStatus

    totals: Totals
    messages: int
    messages_exact: bool
    queue_time: QueueTime
    history: HistoryStatus
    workers: list[WorkerRow]
    worker_totals: list[WorkerTotals]


class Status(NamedTuple):
    """Both halves, and why one of them is missing.

    Attributes:
        exit_code: `DONE`, or the exit code of the error that cost a half.
    """

    at: datetime
    broker: BrokerStatus | None
    database: DatabaseStatus | None
    troubles: list[str]
    exit_code: ExitCode


_NAME = "statesys status"
_UNKNOWN = QueueStatistics(None, None, None)


def gather(settings: Settings) -> Status:
    """Read both halves; an unreachable server becomes a trouble, not an exception."""
    troubles: list[StatesysError] = []
    database: DatabaseStatus | None = None
    broker: BrokerStatus | None = None
    try:
        database = _database(settings.required_database_url())
    except StatesysError as error:
        troubles.append(error)
    try:
        amqp_url, management_url = (
            settings.required_amqp_url(),
            settings.optional_management_url(),
        )
        statistics = management_url and queue_statistics(management_url, amqp_url)
        fleets = database.totals.reply_queues if database else ()
        broker = _broker(amqp_url, statistics or None, fleets)
    except StatesysError as error:
        troubles.append(error)
    return Status(
        datetime.now(UTC),
        broker,
        database,
        [str(error) for error in troubles],
        # If both are away, the broker's code counts, because messages pass the broker first.
        troubles[-1].exit_code if troubles else ExitCode.DONE,
    )


def _broker(
    url: str, statistics: dict[str, QueueStatistics] | None, reply_queues: Iterable[str]
) -> BrokerStatus:
    known = statistics or {}
    fleets = sorted({*filter(is_reply_queue, known), *filter(is_reply_queue, reply_queues)})
    with Administration(url, name=_NAME) as admin:
        queues = [
            _queue(admin, queue, known.get(queue.name, _UNKNOWN))
            for queue in (*QUEUES, *(Queue(name, "resync requests", {}) for name in fleets))
        ]
        box = Box(admin)
        counts = Counter((letter.stage, letter.reason) for letter, _ in box.look())
    return BrokerStatus(
        queues=queues,
        dead=[DeadLetterCount(*key, letters) for key, letters in counts.most_common()],
        letters_cut=box.cut,
        management=statistics is not None,
    )


def _queue(admin: Administration, queue: Queue, known: QueueStatistics) -> QueueStatus:
    depth = admin.depth(queue.name)
    if depth is None:
        return QueueStatus(queue.name, queue.carries, None, None, None, None, None)
    return QueueStatus(queue.name, queue.carries, depth.ready, depth.consumers, *known)


def _database(url: str) -> DatabaseStatus:
    with Queries.open(url, name=_NAME) as queries:
        loaded = queries.loaded()
        return DatabaseStatus(
            site=_site(queries),
            totals=queries.totals(),
            messages=loaded.rows,
            messages_exact=loaded.exact,
            queue_time=queries.queue_time(),
            history=_history(queries.kept_history(), loaded.rows),
            workers=queries.workers(),
            worker_totals=queries.worker_totals(),
        )


def _history(kept: KeptHistory, rows: int) -> HistoryStatus:
    return HistoryStatus(
        oldest_day=kept.oldest_day,
        bytes=kept.bytes,
        full_days=kept.full_days,
        bytes_a_day=kept.bytes_a_day,
        rows_a_day=kept.rows_a_day(rows),
        days_ahead=kept.days_ahead,
        today=kept.today,
    )


def _site(queries: Queries) -> SiteStatus:
    rules = queries.rules().as_text()
    differing = []
    for loader in queries.loaders():
        # An older or newer loader may have other rules. Compare only the rules that both know.
        others = {
            name: value for name, value in loader.rules.items() if rules.get(name, value) != value
        }
        if others:
            differing.append(DifferingLoader(loader.name, others))
    return SiteStatus(rules, queries.rules_written(), differing)
