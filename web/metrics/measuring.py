"""Asks broker and database for the numbers of one scrape; never scans the history."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from console.queries import Queries
from console.queries.clients import Completeness
from console.queries.history import KeptHistory
from console.queries.rows import Totals
from console.queries.workers import TaskRun, WorkerCount, WorkerRow, WorkerTotals
from console.status.gather import QueueStatus, exit_code_of, queue_status, read_halves
from loader.resync import URGENT_INTERVAL
from loader.tasks import TOTALS_INTERVAL
from runtime.broker import Administration
from runtime.settings import Settings
from runtime.workers.reporting import REPORT_INTERVAL
from schemas.errors import ExitCode

_NAME = "statesys metrics"

#: Opens queries that read one snapshot.
OpenQueries = Callable[[], AbstractContextManager[Queries]]


class TaskTurn(NamedTuple):
    """A periodic task of the site: its last turn, and after which time the next one is due."""

    name: str
    done_at: datetime
    interval: timedelta | None


class BrokerNumbers(NamedTuple):
    """The broker's half; `management` None means that no management API is set."""

    queues: list[QueueStatus]
    management: bool | None


class DatabaseNumbers(NamedTuple):
    """The database's half; moments by its clock."""

    totals: Totals
    completeness: Completeness
    oldest_missing: datetime | None
    history: KeptHistory
    workers: list[WorkerRow]
    worker_totals: list[WorkerTotals]
    worker_counts: list[WorkerCount]
    tasks: list[TaskTurn]


class Measured(NamedTuple):
    """Both halves; None for one whose server is away.

    Attributes:
        troubles: why a half is missing.
        exit_code: `DONE`, or the exit code of the error that cost a half.
    """

    broker: BrokerNumbers | None
    database: DatabaseNumbers | None
    troubles: Sequence[str] = ()
    exit_code: ExitCode = ExitCode.DONE


def measure(settings: Settings, open_queries: OpenQueries) -> Measured:
    """Ask both servers; one that is away costs its own half only."""

    def read_database() -> DatabaseNumbers:
        with open_queries() as queries:
            return _database(queries)

    broker, database, away = read_halves(read_database, partial(_broker, settings))
    return Measured(broker, database, [str(error) for error in away], exit_code_of(away))


def _broker(settings: Settings, database: DatabaseNumbers | None) -> BrokerNumbers:
    named = database.totals.reply_queues if database else ()
    with Administration(settings.required_amqp_url(), name=_NAME) as admin:
        queues, answered = queue_status(admin, settings, named)
    return BrokerNumbers(queues, answered if settings.optional_management_url() else None)


def _database(queries: Queries) -> DatabaseNumbers:
    now = queries.now()
    return DatabaseNumbers(
        totals=queries.totals(now=now),
        completeness=queries.completeness(now=now),
        oldest_missing=queries.oldest_missing(),
        history=queries.kept_history(now=now),
        workers=queries.workers(),
        worker_totals=queries.worker_totals(),
        worker_counts=queries.worker_counts(),
        tasks=_turns(queries.task_runs(), queries.rules().resync_check_interval),
    )


def _turns(done: Sequence[TaskRun], check_interval: timedelta) -> list[TaskTurn]:
    intervals = {
        "resync.missing": check_interval,
        "resync.signs": min(check_interval, URGENT_INTERVAL),
        "totals": TOTALS_INTERVAL,
        "state_totals": TOTALS_INTERVAL,
        "activity": timedelta(hours=1),
        "quarantine": REPORT_INTERVAL,
    }
    # Not all tasks have a turn at every site: `top` has none at a small one.
    return [TaskTurn(one.name, one.done_at, intervals.get(one.name)) for one in done]
