"""One look at the whole site for all viewers, repeated while somebody watches."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import NamedTuple

import structlog

from console.findings import Finding, findings
from console.queries.workers import TaskRun
from console.status.gather import (
    BrokerStatus,
    DatabaseStatus,
    Status,
    count_letters,
    database_status,
    joined,
    queue_status,
)
from runtime.broker import Administration
from runtime.settings import Settings
from schemas.errors import BrokerUnavailable, DatabaseUnavailable, StatesysError
from web.flow import Flow, flow
from web.letters import LetterWatch, SeenLetters
from web.readers import Readers
from web.reading import Reading

_log = structlog.get_logger()

#: Seconds from one look to the next.
INTERVAL = 2.0
#: Looks that are remembered for charts: ten minutes.
REMEMBERED = 300
#: Seconds after a request for a page during which its viewer counts as watching.
_ASKED = 30.0
#: Seconds after which a look is old, and that a page waits for a new one.
_OLD, _PATIENCE = 10.0, 5.0
#: Seconds after which a look is no answer any more.
_TOO_OLD = 30.0


class Look(NamedTuple):
    """What was seen of the site.

    Attributes:
        noticed: when this viewer saw each finding first, by name, since it began to watch.
        flows: of the last minutes, oldest first; the newest is of this look.
        tasks: when each periodic task was done last; empty while the database is away.
    """

    status: Status
    findings: list[Finding]
    noticed: Mapping[str, datetime]
    flows: Sequence[Flow]
    letters: SeenLetters
    tasks: list[TaskRun]


class Watching:
    """The looks, made by a thread that sleeps while nobody watches.

    Args:
        settings: with the URLs of the servers.
        readers: sessions of the database.
        taking: a lock; the thread that takes dead letters from the queue holds it.
    """

    def __init__(self, settings: Settings, readers: Readers, taking: threading.Lock) -> None:
        self._settings = settings
        self._readers = readers
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._streams = 0
        self._asked_at = float("-inf")
        self._seen_at = float("-inf")
        self._newest: Look | None = None
        self._tell: Callable[[Look], None] = lambda _look: None
        self._admin: Administration | None = None
        self._letters = LetterWatch(taking)
        self._flows: deque[Flow] = deque(maxlen=REMEMBERED)
        self._noticed: dict[str, datetime] = {}
        self._database = Reading(
            self._read_database, DatabaseUnavailable("PostgreSQL hangs: it does not answer")
        )
        self._broker = Reading(
            self._read_broker, BrokerUnavailable("RabbitMQ hangs: it does not answer")
        )

    def tell(self, about: Callable[[Look], None]) -> None:
        """Call a function with each look, in the thread that makes them."""
        self._tell = about

    def look(self) -> Look:
        """The newest look.

        Waits up to 5 s for one that is younger than 10 s; then returns one of up to 30 s.

        Raises:
            DatabaseUnavailable: there is none so young: a server hangs, looks fail (see the log),
                or the viewer stops.
        """
        with self._changed:
            self._asked_at = monotonic()
            self._begin()
            self._changed.wait_for(self._is_new, _PATIENCE)
            if self._newest is None or monotonic() - self._seen_at > _TOO_OLD:
                raise DatabaseUnavailable("the servers have not answered yet; reload this page")
            return self._newest

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While the block runs, a viewer counts as watching, so looks are made."""
        with self._changed:
            self._streams += 1
            self._begin()
        try:
            yield
        finally:
            with self._changed:
                self._streams -= 1

    def close(self) -> None:
        """End the thread; wait for it one second at most, since its look may hang on a server."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(1.0)

    def _begin(self) -> None:
        if self._thread is None and not self._stopped:
            # A daemon: connecting to a server that is away must not delay the end of the process.
            self._thread = threading.Thread(target=self._run, name="watching", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _is_new(self) -> bool:
        return self._stopped or monotonic() - self._seen_at < _OLD

    def _is_watched(self) -> bool:
        return self._streams > 0 or monotonic() - self._asked_at < _ASKED

    def _run(self) -> None:
        while self._await_viewer():
            try:
                newest = self._see()
            except Exception as error:  # noqa: BLE001 (the next look may succeed)
                _log.error("web.look_failed", exc_info=error)
            else:
                with self._changed:
                    self._newest, self._seen_at = newest, monotonic()
                    self._changed.notify_all()
                try:
                    self._tell(newest)
                except Exception as error:  # noqa: BLE001 (pages have the look all the same)
                    _log.error("web.live_failed", exc_info=error)
            with self._changed:
                self._changed.wait_for(lambda: self._stopped, INTERVAL)
        self._rest()

    def _await_viewer(self) -> bool:
        """Sleep until somebody watches; False at the end."""
        with self._changed:
            if self._stopped or self._is_watched():
                return not self._stopped
            # What was seen before a pause says nothing about what comes after it.
            self._newest, self._seen_at = None, float("-inf")
            self._changed.notify_all()
        self._flows.clear()
        self._noticed.clear()
        self._database.forget()
        self._broker.forget()
        self._rest()
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._is_watched())
            return not self._stopped

    def _see(self) -> Look:
        self._database.refresh()
        self._broker.refresh()
        database, tasks = self._database.value or (None, [])
        away = [one.trouble for one in (self._database, self._broker) if one.trouble is not None]
        status = joined(self._broker.value, database, away)
        completeness = database.completeness if database else None
        found = findings(status, completeness, status.at)
        self._notice(found)
        self._flows.append(flow(status, self._flows[-1] if self._flows else None))
        letters = self._letters.seen if self._broker.value else SeenLetters()
        return Look(status, found, dict(self._noticed), [*self._flows], letters, tasks)

    def _notice(self, found: list[Finding]) -> None:
        now = datetime.now(UTC)
        names = {one.name for one in found}
        self._noticed = {name: self._noticed.get(name, now) for name in names}

    def _read_database(self) -> tuple[DatabaseStatus, list[TaskRun]]:
        with self._readers.snapshot() as queries:
            return database_status(queries), queries.task_runs()

    def _read_broker(self) -> BrokerStatus:
        try:
            if self._admin is None:
                url = self._settings.required_amqp_url()
                self._admin = Administration(url, name="statesys web")
            half = self._database.value
            named = half[0].totals.reply_queues if half else ()
            queues, management = queue_status(self._admin, self._settings, named)
            seen = self._letters.look(self._admin, monotonic())
        except StatesysError:
            self._disconnect()
            raise
        dead = count_letters(one.letter for one in seen.letters)
        return BrokerStatus(queues, dead, seen.cut, management)

    def _rest(self) -> None:
        """Close the connection, unless a reading still uses it."""
        if not self._broker.busy:
            self._disconnect()

    def _disconnect(self) -> None:
        self._letters.forget()
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()
