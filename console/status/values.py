"""What `status` shows; each half may be missing."""

from datetime import datetime
from typing import NamedTuple

from console.queries.rows import QueueTime, RulesWritten, Totals
from schemas.errors import ExitCode


class QueueStatus(NamedTuple):
    """A queue; None is unknown, and all None a queue that does not exist.

    Attributes:
        ready: waiting messages.
        unacked: handed out and not settled.
        consumers: that take from it.
        incoming: messages a second that come in.
        settled: messages a second that are acked.
    """

    name: str
    carries: str
    ready: int | None
    consumers: int | None
    unacked: int | None
    incoming: float | None
    settled: float | None


class LetterCount(NamedTuple):
    """Dead letters of one reason."""

    stage: str
    reason: str
    letters: int


class BrokerStatus(NamedTuple):
    """The broker's half.

    Attributes:
        management: whether unacked counts and rates are known.
        letters_cut: there are more letters than were looked at.
    """

    queues: list[QueueStatus]
    dead: list[LetterCount]
    letters_cut: bool
    management: bool


class DifferingLoader(NamedTuple):
    """A loader at work that was started with other rules than the site's, which it follows.

    Attributes:
        rules: what differs, by name, as text.
    """

    name: str
    rules: dict[str, str]


class SiteStatus(NamedTuple):
    """The rules of the site, as text by name, and who differs from them."""

    rules: dict[str, str]
    written: RulesWritten
    differing: list[DifferingLoader]


class DatabaseStatus(NamedTuple):
    """The database's half.

    Attributes:
        messages: in the history; `messages_exact` False means about so many.
    """

    site: SiteStatus

    totals: Totals
    messages: int
    messages_exact: bool
    queue_time: QueueTime


class Status(NamedTuple):
    """Both halves, and why one of them is missing.

    Attributes:
        exit_code: done, or what the missing half asks for.
    """

    at: datetime
    broker: BrokerStatus | None
    database: DatabaseStatus | None
    troubles: list[str]
    exit_code: ExitCode
