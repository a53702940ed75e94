"""What is to be carried, by whom, and what is in the tables before."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

#: One client in so many has a missing range: its serial 2.
GAP_EVERY = 100


class Existing(NamedTuple):
    """What an earlier life left in the tables, in whole reports of the clients in turn.

    The clients are numbered as those of the job are: the job's clients are among them, and count
    on where they stopped.

    Attributes:
        clients: with at least one report each.
        reports: of all of them.
        size: state messages in a report.
        days: UTC days over which the reports are spread, today included.
    """

    clients: int = 0
    reports: int = 0
    size: int = 1
    days: int = 1

    @property
    def messages(self) -> int:
        """Rows of the history."""
        return self.reports * self.size

    def highest_serial(self, client: int) -> int:
        """The last serial of a client; 0 for one that is new."""
        if client >= self.clients:
            return 0
        rounds, more = divmod(self.reports, self.clients)
        sent = (rounds + (client < more)) * self.size
        return sent + (client % GAP_EVERY == 0 and sent > 1)


class Shape(StrEnum):
    """How the reports of a job are written, which decides what reading them costs."""

    #: As ConfigMgr's clients and ours write them: relay and loader read them the short way.
    CANONICAL = "canonical"
    #: The same reports as other programs write them: the short way too, by its second hand.
    OTHER = "other"
    #: With an element that nobody knows in each message: all of them take the long way.
    FOREIGN = "foreign"


#: The tables as a migration leaves them.
NOTHING = Existing()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A number of reports; the defaults are the standard job.

    Attributes:
        reports: in all.
        messages: state messages in each.
        clients: that the reports are of, in turn.
        existing: what is in the tables before.
        shape: of all reports.
    """

    reports: int = 20_000
    messages: int = 4
    clients: int = 5_000
    existing: Existing = NOTHING
    shape: Shape = Shape.CANONICAL

    @property
    def total(self) -> int:
        """State messages in all."""
        return self.reports * self.messages


class WorkerSettings(NamedTuple):
    """The workers.

    Attributes:
        threads: of each loader.
        chunk_size: KiB.
        relays, loaders: processes.
    """

    threads: int
    chunk_size: int
    relays: int = 1
    loaders: int = 1
