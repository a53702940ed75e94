"""What is to be carried, and by whom."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True)
class Job:
    """A number of reports; the defaults are the standard job.

    Attributes:
        reports: in all.
        messages: state messages in each.
        clients: that the reports are of, in turn.
    """

    reports: int = 20_000
    messages: int = 4
    clients: int = 5_000

    @property
    def total(self) -> int:
        """State messages in all."""
        return self.reports * self.messages


class Crew(NamedTuple):
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
