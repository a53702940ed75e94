"""What a run sends, which workers it has, and what is in the tables before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import NamedTuple

import click

from runtime.settings import load_settings

#: One client in this many has a missing range: its serial 2.
GAP_EVERY = 100


class Existing(NamedTuple):
    """What is in the tables before a run: whole reports, from one client after another.

    The clients have the same numbers as those of the job. The job's clients are among them, and
    go on with the next serial.

    Attributes:
        clients: their number; each has at least one report.
        reports: of all clients together.
        size: state messages in a report.
        days: UTC days over which the reports are spread, today included.
    """

    clients: int = 0
    reports: int = 0
    size: int = 1
    days: int = 1

    @property
    def messages(self) -> int:
        """The number of rows in the history."""
        return self.reports * self.size

    def highest_serial(self, client: int) -> int:
        """The last serial of a client; 0 for a new client."""
        if client >= self.clients:
            return 0
        rounds, more = divmod(self.reports, self.clients)
        sent = (rounds + (client < more)) * self.size
        return sent + (client % GAP_EVERY == 0 and sent > 1)


class Shape(StrEnum):
    """How the reports of a job are written, which decides what reading them costs."""

    #: As ConfigMgr's clients and ours write them: relay and loader read them by the fast path.
    CANONICAL = "canonical"
    #: The same reports as other programs write them: the fast path reads these too.
    OTHER = "other"
    #: With an unknown element in each message: the full reader reads all of them.
    FOREIGN = "foreign"


#: The tables as a migration leaves them.
NOTHING = Existing()


@dataclass(frozen=True, kw_only=True)
class Job:
    """The reports of a run; the defaults are the standard job.

    Attributes:
        reports: in all.
        messages: state messages in each report.
        clients: how many; reports come from one client after another.
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
    """The workers of a run.

    Attributes:
        threads: of each loader.
        chunk_size: KiB.
        relays, loaders: number of processes.
    """

    threads: int
    chunk_size: int
    relays: int = 1
    loaders: int = 1


def combinations(
    job: Job, worker_settings: WorkerSettings, sweeps: Sequence[str], shapes: Sequence[Shape]
) -> Iterator[tuple[Job, WorkerSettings]]:
    """Yield every combination of the values to try.

    Args:
        job, worker_settings: hold the values that are not swept.
        sweeps: such as `reports=20000,40000`, `threads=1,2,4` and `chunk=64,256`; one text may
            hold several.
        shapes: each is combined with all of these.

    Raises:
        click.BadParameter: a sweep is malformed.
        SettingsError: the setting does not allow a value.
    """
    chosen = {
        "reports": [str(job.reports)],
        "threads": [str(worker_settings.threads)],
        "chunk": [str(worker_settings.chunk_size)],
    }
    for part in (part for sweep in sweeps for part in sweep.split()):
        name, _, values = part.partition("=")
        if name not in chosen or not values:
            raise click.BadParameter(
                f"{part!r}: write reports=20000,40000, threads=1,2,4 or chunk=64,256",
                param_hint="--sweep",
            )
        chosen[name] = values.split(",")
    for (reports, threads, chunk), shape in product(product(*chosen.values()), shapes):
        settings = load_settings(loader_threads=threads, loader_chunk_size=chunk)
        yield (
            replace(job, reports=_count(reports), shape=shape),
            worker_settings._replace(
                threads=settings.threads, chunk_size=settings.loader_chunk_size
            ),
        )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise click.BadParameter(f"{text!r} reports: write a number", param_hint="--sweep")
    return int(text)
