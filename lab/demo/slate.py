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
from runtime.files import our_directory
from schemas.errors import StatesysError
from schemas.topology import DEAD, QUEUES, RESYNC, WORK

_FLEET = "fleet"
#: Says that a directory is a demo's: fleets and logs of anybody may have the names of ours.
_MARK = "statesys-demo.txt"
#: What a demo leaves in its directory, and in the one of its fleet.
_LEFT = (_MARK, _FLEET, "relay.log", "loader.log")
_LEFT_OF_FLEET = (LOCK_FILE, *(FILE + end for end in ("", "-wal", "-shm")))
_NAME = "statesys demo"


def clean(servers: Servers, *, reset: bool) -> None:
    """Empty queues and database, if they are an earlier demo's, or nobody's.

    Args:
        reset: whoever's they are.

    Raises:
        StatesysError: workers run there already, or the data is somebody's.
    """
    with Administration(servers.amqp_url, name=_NAME) as admin:
        _refuse_company(admin)
        found = holder(servers.database_url)
        if not reset:
            _refuse_data(admin, found)
        # Before anything is removed: it refuses what the demo could not work with.
        migrate(servers.database_url)
        admin.declare(QUEUES)
        for queue in (*WORK, RESYNC):
            # An empty one needs no right to empty it.
            if (depth := admin.depth(queue)) is not None and depth.ready:
                admin.purge(queue)
        Box(admin).purge(lambda _letter: True)
        if found.fleet is not None and servers.management_url is not None:
            # The last demo's fleet is gone for good; without its queue, so are old requests. Last:
            # the queue is what tells that the others are a demo's.
            delete_queue(servers.management_url, servers.amqp_url, found.fleet)


def check_directory(directory: Path) -> None:
    """See that a directory is empty, or an earlier demo's that holds nothing else.

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
    if any(directory.iterdir()) and not (directory / _MARK).is_file():
        raise StatesysError(
            f"{directory} holds what may be somebody's: no demo left its mark there ({_MARK}); "
            "remove the directory if nobody needs it, or name another one with --directory"
        )
    fleet = directory / _FLEET
    if fleet.exists() and any(fleet.iterdir()):
        if {entry.name for entry in fleet.iterdir()} - set(_LEFT_OF_FLEET):
            raise StatesysError(f"{fleet} is no fleet of a demo; remove it, or use --directory")
        # Whoever runs this fleet at the moment would lose its store.
        StoreLock(fleet / LOCK_FILE).release()


def clear_directory(directory: Path) -> None:
    """Remove an earlier demo's fleet and logs from a checked directory; nothing else. Mark it."""
    our_directory(directory)
    (directory / _MARK).write_text("`statesys demo` empties this directory.\n", encoding="utf-8")
    for name in set(_LEFT) - {_MARK, _FLEET}:
        (directory / name).unlink(missing_ok=True)
    if (directory / _FLEET).exists():
        shutil.rmtree(directory / _FLEET)


def _refuse_company(admin: Administration) -> None:
    for queue in WORK:
        depth = admin.depth(queue)
        if depth is not None and depth.consumers:
            raise StatesysError(
                f"somebody already takes messages from {queue}: stop that relay or loader, "
                "or give the demo servers of its own (another directory in STATESYS_HOME, and "
                "neither STATESYS_AMQP_URL nor STATESYS_DATABASE_URL)"
            )


def _refuse_data(admin: Administration, found: Holder) -> None:
    if found.foreign.clients or found.foreign.history:
        what = counted(found.foreign.clients, "client") if found.foreign.clients else "a history"
        raise StatesysError(
            f"the database holds {what} of somebody else's; point STATESYS_DATABASE_URL at an "
            "empty database, or let --reset delete everything in it"
        )
    if found.fleet is not None and admin.depth(found.fleet) is not None:
        # The queue of that demo's fleet: broker and database are of one demo.
        return
    for queue in (*WORK, RESYNC, DEAD):
        depth = admin.depth(queue)
        if depth is not None and depth.ready:
            raise StatesysError(
                f"{counted(depth.ready, 'message')} of somebody else's in {queue}; point "
                "STATESYS_AMQP_URL at an empty virtual host, or let --reset delete them"
            )
