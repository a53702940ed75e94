"""The demo's own site: servers and a directory that belong to the demo alone.

The servers stay after the demo, so that the other commands can show its result. The next demo in
the same directory empties them.
"""

import shutil
from pathlib import Path

from lab.servers import Servers
from loader.migrations import migrate
from producers.store.lock import StoreLock
from producers.store.writing import LOCK_FILE
from runtime import devserver
from runtime.broker.management import empty_virtual_host
from runtime.database import own_session
from runtime.files import our_directory
from schemas.errors import StatesysError

#: The fleet's store, inside the directory.
FLEET = "fleet"
#: This file marks a directory as a demo's. Without it, the content is never deleted.
_MARK = "statesys-demo.txt"
_NAME = "statesys demo"


def prepare(directory: Path) -> Servers:
    """Start the demo's servers, or take those of the last demo, and empty them.

    Args:
        directory: for the servers' data, the fleet's store and the workers' logs.

    Raises:
        StatesysError: the directory holds something else, or another demo runs in it.
        ServicesError: the servers do not start.
    """
    _check(directory)
    our_directory(directory)
    (directory / _MARK).write_text("`statesys demo` empties this site.\n", encoding="utf-8")
    if (directory / FLEET).exists():
        shutil.rmtree(directory / FLEET)
    found = devserver.up(directory)
    empty_virtual_host(found.management_url, found.amqp_url)
    with (
        own_session(found.database_url, _NAME) as session,
        session.transaction() as connection,
    ):
        connection.execute("DROP SCHEMA IF EXISTS statesys CASCADE")
    migrate(found.database_url)
    return Servers(*found)


def _check(directory: Path) -> None:
    if not directory.exists() or not any(directory.iterdir()):
        return
    if not (directory / _MARK).is_file():
        raise StatesysError(
            f"{directory} is not empty, and no demo has left its mark there ({_MARK}); "
            "name an empty directory with --directory"
        )
    if (directory / FLEET).exists():
        # A running demo holds this lock; then it raises StatesysError.
        StoreLock(directory / FLEET / LOCK_FILE).release()
