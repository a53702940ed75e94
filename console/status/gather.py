"""Asks broker and database; when one of them is away, it still returns the other's half."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, TypeVar

from console.dead.box import Box
from console.queries import Queries
from console.queries.clients import Completeness
from console.queries.history import KeptHistory
from console.queries.rows import QueueTime, RulesWritten, Totals
from console.queries.workers import InQuarantine, WorkerRow, WorkerTotals
from runtime.broker import Administration
from runtime.broker.dead_letters import Letter
from runtime.broker.management import QueueStatistics, queue_statistics
from runtime.broker.shards import count_shards
from runtime.durations import parse_duration
from runtime.settings import Settings
from schemas.errors import ExitCode, StatesysError
from schemas.topology import Queue, is_reply_queue, queues

Broker = TypeVar("Broker")
Database = TypeVar("Database")


class QueueStatus(NamedTuple):
    """A queue. None means unknown; a queue that does not exist has only None.

    Attributes:
        ready: waiting messages.
        unacked: delivered messages that are not settled.
        consumers: the number of its consumers.
        incoming: messages a second that arrive.
        settled: messages a second that are acknowledged.
        available: whether it takes and gives messages.
    """

    name: str
    carries: str
    ready: int | None
    consumers: int | None
    unacked: int | None
    incoming: float | None
    settled: float | None
    available: bool | None

    @property
    def described(self) -> str:
        """What it carries; if it carries nothing now, the reason in parentheses."""
        if self.ready is None:
            return f"{self.carries} (not declared yet)"
        return f"{self.carries} (no leader)" if self.available is False else self.carries


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
        retention: after how long loaders delete a day, as text; the shortest of the running
            loaders, None without one that tells it.
    """

    oldest_day: date | None
    bytes: int
    full_days: int
    bytes_a_day: int | None
    rows_a_day: int | None
    days_ahead: int
    today: bool
    retention: str | None


class DatabaseStatus(NamedTuple):
    """The database's half.

    Attributes:
        messages: rows of the history; `messages_exact` False means an estimate.
        workers: workers at work, and those that were lost within the last day.
        worker_totals: what the workers of each role have done, those that have ended included.
        completeness: of how many clients the server has everything.
        quarantine: how many clients are in quarantine.
        missing_since: when the oldest open missing range was detected; None without one.
    """

    site: SiteStatus

    totals: Totals
    messages: int
    messages_exact: bool
    queue_time: QueueTime
    history: HistoryStatus
    workers: list[WorkerRow]
    worker_totals: list[WorkerTotals]
    completeness: Completeness
    quarantine: InQuarantine
    missing_since: datetime | None


class Status(NamedTuple):
    """Both halves, and why one of them is missing.

    Attributes:
        troubles: a sentence for each half that is missing, the database's first.
        exit_code: `DONE`, or the exit code of the error that cost a half.
    """

    at: datetime
    broker: BrokerStatus | None
    database: DatabaseStatus | None
    troubles: list[str]
    exit_code: ExitCode


_NAME = "statesys status"
_UNKNOWN = QueueStatistics(None, None, None, None)


def gather(settings: Settings) -> Status:
    """Read both halves; an unreachable server becomes a trouble, not an exception."""

    def read_database() -> DatabaseStatus:
        url = settings.required_database_url()
        with Queries.open(url, name=_NAME) as queries, queries.snapshot():
            return database_status(queries)

    def read_broker(database: DatabaseStatus | None) -> BrokerStatus:
        with Administration(settings.required_amqp_url(), name=_NAME) as admin:
            named = database.totals.reply_queues if database else ()
            queues, management = queue_status(admin, settings, named)
            box = Box(admin)
            dead = count_letters(letter for letter, _ in box.look())
            return BrokerStatus(queues, dead, box.cut, management)

    return joined(*read_halves(read_database, read_broker))


def read_halves(
    read_database: Callable[[], Database], read_broker: Callable[[Database | None], Broker]
) -> tuple[Broker | None, Database | None, list[StatesysError]]:
    """Read both halves of a site.

    A half whose server is away is None; the other one is read all the same.

    Args:
        read_broker: takes what the database said, None when it is away.

    Returns:
        The halves, and why one is missing, the database's reason first.
    """
    database, broker = None, None
    away: list[StatesysError] = []
    try:
        database = read_database()
    except StatesysError as error:
        away.append(error)
    try:
        broker = read_broker(database)
    except StatesysError as error:
        away.append(error)
    return broker, database, away


def exit_code_of(away: Sequence[StatesysError]) -> ExitCode:
    """The exit code when halves are missing; `away` as of `read_halves`.

    If both are away, the broker's code counts, because messages pass the broker first.
    """
    return away[-1].exit_code if away else ExitCode.DONE


def joined(
    broker: BrokerStatus | None, database: DatabaseStatus | None, away: Sequence[StatesysError]
) -> Status:
    """Both halves as one status of this moment.

    Args:
        away: why a half is missing, the database's reason first.
    """
    return Status(
        datetime.now(UTC),
        broker,
        database,
        [str(error) for error in away],
        exit_code_of(away),
    )


def queue_status(
    admin: Administration, settings: Settings, reply_queues: Iterable[str]
) -> tuple[list[QueueStatus], bool]:
    """The queues of the topology and of the fleets, and whether the management API answered.

    Args:
        reply_queues: those that the database knows: the management API may not name them.
    """
    url = settings.optional_management_url()
    statistics = queue_statistics(url, settings.required_amqp_url()) if url else None
    known = statistics or {}
    fleets = sorted({*filter(is_reply_queue, known), *filter(is_reply_queue, reply_queues)})
    fleet_queues = [Queue(name, "resync requests", {}) for name in fleets]
    found = [
        _queue(admin, queue, known.get(queue.name, _UNKNOWN))
        for queue in (*queues(count_shards(admin)), *fleet_queues)
    ]
    return found, statistics is not None


def count_letters(letters: Iterable[Letter]) -> list[DeadLetterCount]:
    """Dead letters by stage and reason, most first."""
    counts = Counter((letter.stage, letter.reason) for letter in letters)
    return [DeadLetterCount(*key, count) for key, count in counts.most_common()]


def _queue(admin: Administration, queue: Queue, known: QueueStatistics) -> QueueStatus:
    depth = admin.depth(queue.name)
    if depth is None:
        return QueueStatus(queue.name, queue.carries, None, None, *_UNKNOWN)
    return QueueStatus(queue.name, queue.carries, depth.ready, depth.consumers, *known)


def database_status(queries: Queries) -> DatabaseStatus:
    """The database's half."""
    loaded, workers = queries.loaded(), queries.workers()
    return DatabaseStatus(
        site=_site(queries),
        totals=queries.totals(),
        messages=loaded.rows,
        messages_exact=loaded.exact,
        queue_time=queries.queue_time(),
        history=_history(queries.kept_history(), loaded.rows, workers),
        workers=workers,
        worker_totals=queries.worker_totals(),
        completeness=queries.completeness(),
        quarantine=queries.in_quarantine(),
        missing_since=queries.oldest_missing(),
    )


def _history(kept: KeptHistory, rows: int, workers: Iterable[WorkerRow]) -> HistoryStatus:
    return HistoryStatus(
        oldest_day=kept.oldest_day,
        bytes=kept.bytes,
        full_days=kept.full_days,
        bytes_a_day=kept.bytes_a_day,
        rows_a_day=kept.rows_a_day(rows),
        days_ahead=kept.days_ahead,
        today=kept.today,
        retention=_retention(workers),
    )


def _retention(workers: Iterable[WorkerRow]) -> str | None:
    """The shortest retention of the running loaders: each of them deletes by its own."""
    loaders = [worker for worker in workers if worker.role == "loader" and not worker.late]
    told = [one.settings["retention"] for one in loaders if "retention" in one.settings]
    return min(told, key=_length, default=None)


def _length(duration: str) -> timedelta:
    try:
        found = parse_duration(duration)
    except ValueError:
        # A loader of another version may write it in another way.
        return timedelta.max
    assert isinstance(found, timedelta)
    return found


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
