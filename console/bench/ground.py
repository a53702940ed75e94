"""Where a bench takes place: private servers that nobody else uses."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from console.bench.measures import wipe
from console.bench.steps import Show
from console.servers import Servers
from loader.migrations import migrate
from runtime import services
from runtime.broker import Administration
from runtime.files import our_directory
from runtime.services import registry
from schemas.errors import StatesysError
from schemas.topology import QUEUES

_NAME = "statesys bench"
_LOCK = "bench.lock"


@dataclass(frozen=True)
class Ground:
    """The bench's servers.

    Attributes:
        directory: takes logs and stores.
        processes: pid of `broker` and `database`.
        show: hears of steps.
    """

    servers: Servers
    directory: Path
    processes: Mapping[str, int]
    show: Show

    def clear(self) -> None:
        """Empty queues and new tables: no run is to pay for what another left behind."""
        self.show("emptying queues and tables")
        with Administration(self.servers.amqp_url, name=_NAME) as desk:
            desk.declare(QUEUES)
            for queue in QUEUES:
                desk.purge(queue.name)
        wipe(self.servers.database_url)
        migrate(self.servers.database_url)


@contextmanager
def ground(directory: Path, show: Show, *, keep: bool) -> Iterator[Ground]:
    """Start servers in a directory, and remove them with their data at the end.

    Args:
        directory: of their own.
        keep: leave them running, with the data of the last run.

    Raises:
        StatesysError: another bench is at work there, or the directory is somebody else's.
        ServicesError: they do not come up.
    """
    our_directory(directory)
    if any(directory.iterdir()) and not (directory / _LOCK).exists():
        raise StatesysError(
            f"{directory} was not made by a bench, which would delete what is in it; remove it if "
            "nobody needs it, or set another STATESYS_HOME"
        )
    with (directory / _LOCK).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StatesysError(f"another bench is at work in {directory}") from None
        try:
            _stop_servers_on_other_cores(directory)
            found = services.up(directory)
            yield Ground(
                Servers(found.amqp_url, found.database_url, found.management_url),
                directory,
                _processes(directory),
                show,
            )
        finally:
            if not keep:
                show("stopping private servers")
                services.down(directory, purge=True)


def _stop_servers_on_other_cores(directory: Path) -> None:
    """Those of an earlier run stay on the processors that they were started on."""
    if services.running(directory) is None:
        return
    cores = os.sched_getaffinity(0)
    if any(os.sched_getaffinity(pid) != cores for pid in _processes(directory).values()):
        services.down(directory)


def _processes(directory: Path) -> dict[str, int]:
    known = registry.load(directory)
    assert known is not None
    broker, database = known.rabbitmq.process, known.postgres.process
    assert broker is not None
    assert database is not None
    return {"broker": broker.pid, "database": database.pid}
