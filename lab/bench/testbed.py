"""The private servers of a bench, which nothing else uses."""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from rich.console import Console

from lab.bench.tables import Show, wipe
from lab.servers import Servers
from loader.migrations import migrate
from runtime import devserver
from runtime.broker import Administration
from runtime.broker.shards import count_shards
from runtime.devserver import registry
from runtime.files import our_directory
from schemas.errors import StatesysError
from schemas.topology import queues

_NAME = "statesys bench"
_LOCK = "bench.lock"


@contextmanager
def _steps() -> Iterator[Show]:
    """Show the current step in one line on stderr, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _step: None
        return
    with console.status("starting private servers") as status:
        yield status.update


@dataclass(frozen=True)
class Testbed:
    """The bench's servers.

    Attributes:
        directory: for logs and stores.
        processes: pids of `broker`, which may be a cluster, and of `database`.
        show: called with each step.
    """

    servers: Servers
    directory: Path
    processes: Mapping[str, Sequence[int]]
    show: Show

    def clear(self) -> None:
        """Empty the queues and recreate the tables, so that runs do not affect each other."""
        self.show("emptying queues and tables")
        with Administration(self.servers.amqp_url, name=_NAME) as admin:
            ours = queues(count_shards(admin))
            admin.declare(ours)
            for queue in ours:
                admin.purge(queue.name)
        wipe(self.servers.database_url)
        migrate(self.servers.database_url)


@contextmanager
def testbed(directory: Path, *, keep: bool, nodes: int) -> Iterator[Testbed]:
    """Start servers in a directory, and remove them with their data at the end; show each step.

    Args:
        directory: for these servers alone.
        keep: leave them running, with the data of the last run.
        nodes: how many brokers, which form a cluster if there are several.

    Raises:
        StatesysError: another bench runs there, or the directory was not made by a bench.
        ServicesError: the servers do not start, or are there with another number of brokers.
    """
    our_directory(directory)
    if any(directory.iterdir()) and not (directory / _LOCK).exists():
        raise StatesysError(
            f"{directory} was not made by a bench, which would delete what is in it; remove it if "
            "nobody needs it, or set another STATESYS_HOME"
        )
    with _steps() as show, (directory / _LOCK).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StatesysError(f"another bench is at work in {directory}") from None
        try:
            _stop_servers_on_other_cores(directory)
            found = devserver.up(directory, nodes=nodes)
            yield Testbed(Servers(*found), directory, _processes(directory), show)
        finally:
            if not keep:
                show("stopping private servers")
                devserver.down(directory, purge=True)


def _stop_servers_on_other_cores(directory: Path) -> None:
    """Stop servers of an earlier run that are pinned to other processors than this run."""
    if devserver.running(directory) is None:
        return
    cores = os.sched_getaffinity(0)
    pids = chain.from_iterable(_processes(directory).values())
    if any(os.sched_getaffinity(pid) != cores for pid in pids):
        devserver.down(directory)


def _processes(directory: Path) -> dict[str, list[int]]:
    """The pids of the servers that run."""
    known = registry.load(directory)
    assert known is not None
    groups = {
        "broker": [node.process for node in known.brokers],
        "database": [known.postgres.process],
    }
    return {
        name: [process.pid for process in group if process is not None]
        for name, group in groups.items()
    }
