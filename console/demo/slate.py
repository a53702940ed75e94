"""A clean slate: a demo begins with empty queues and an empty database, and eats nobody's data.

The demo works in the very database and virtual host that the other commands use, so that its
result can be looked at with them. What an earlier demo left there is removed without asking. What
anybody else left there is not: then the demo refuses, unless `--reset` says otherwise.
"""

import shutil
from pathlib import Path

from console.dead.box import Box
from console.output import counted
from console.queries.slate import Holder, holder
from console.servers import Servers
from loader.migrations import migrate
from producers.store.lock import StoreLock
from producers.store.reading import FILE
from producers.store.writing import LOCK_FILE
from runtime.broker import Administration
from runtime.broker.management import delete_queue
from schemas.errors import StatesysError
from schemas.topology import DEAD, QUEUES, RESYNC, WORK

_FLEET = "fleet"
#: What a demo leaves in its directory.
_LEFT = (_FLEET, "relay.log", "loader.log")
_NAME = "statesys demo"


def clean(servers: Servers, *, reset: bool) -> None:
    """Empty queues and database, if they are an earlier demo's, or nobody's.

    Args:
        reset: whoever's they are.

    Raises:
        StatesysError: workers run there already, or the data is somebody's.
    """
    with Administration(servers.amqp_url, name=_NAME) as desk:
        _refuse_company(desk)
        found = holder(servers.database_url)
        if not reset:
            _refuse_data(desk, found)
        if found.fleet is not None and servers.management_url is not None:
            # The last demo's fleet is gone for good; without its queue, so are old requests.
            delete_queue(servers.management_url, servers.amqp_url, found.fleet)
        desk.declare(QUEUES)
        for queue in (*WORK, RESYNC):
            desk.purge(queue)
        Box(desk).purge(lambda _letter: True)
    migrate(servers.database_url)


def check_directory(directory: Path) -> None:
    """See that a directory holds nothing but what an earlier demo left.

    Raises:
        StatesysError: it holds something else, or the fleet in it is in use.
    """
    if not directory.exists():
        return
    strange = sorted(entry.name for entry in directory.iterdir() if entry.name not in _LEFT)
    if strange:
        raise StatesysError(
            f"{directory} holds more than a demo leaves ({', '.join(strange[:3])}); "
            "name another directory with --directory"
        )
    fleet = directory / _FLEET
    if fleet.exists() and any(fleet.iterdir()):
        if not (fleet / FILE).exists():
            raise StatesysError(f"{fleet} is no fleet of a demo; remove it, or use --directory")
        # Whoever runs this fleet at the moment would lose its store.
        StoreLock(fleet / LOCK_FILE).release()


def clear_directory(directory: Path) -> None:
    """Remove an earlier demo's fleet and logs from a checked directory; nothing else."""
    for name in _LEFT:
        left = directory / name
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)
    directory.mkdir(parents=True, exist_ok=True)


def _refuse_company(desk: Administration) -> None:
    for queue in WORK:
        depth = desk.depth(queue)
        if depth is not None and depth.consumers:
            raise StatesysError(
                f"somebody already takes messages from {queue}: stop that relay or loader, "
                "or give the demo servers of its own (another directory in STATESYS_HOME, and "
                "neither STATESYS_AMQP_URL nor STATESYS_DATABASE_URL)"
            )


def _refuse_data(desk: Administration, found: Holder) -> None:
    if found.foreign.clients or found.foreign.history:
        what = counted(found.foreign.clients, "client") if found.foreign.clients else "a history"
        raise StatesysError(
            f"the database holds {what} of somebody else's; point STATESYS_DATABASE_URL at an "
            "empty database, or let --reset delete everything in it"
        )
    if found.fleet is not None:
        return
    for queue in (*WORK, RESYNC, DEAD):
        depth = desk.depth(queue)
        if depth is not None and depth.ready:
            raise StatesysError(
                f"{counted(depth.ready, 'message')} of somebody else's in {queue}; point "
                "STATESYS_AMQP_URL at an empty virtual host, or let --reset delete them"
            )
