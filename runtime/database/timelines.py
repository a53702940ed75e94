"""The newest timeline of each database that this machine has seen; servers on an older one.

PostgreSQL counts a cluster's promotions: its *timeline*. A server with a lower number than another
one of the same cluster missed a promotion. It is a primary that came back after a failover, or a
standby that was promoted too late, and what is written there is lost when it follows again.
"""

import fcntl
import os
import threading
from pathlib import Path
from typing import NamedTuple

import structlog

from runtime.database.session import Session
from runtime.files import our_directory
from schemas.errors import DatabaseUnavailable

_log = structlog.get_logger()

# The first eight digits of a name in the log are the timeline that is written now. The control
# file has it only after the checkpoint that follows a promotion.
_HERE = """
    SELECT system_identifier, pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())
    FROM pg_catalog.pg_control_system()
"""
_DIGITS = 8
#: Bytes of a file that are read.
_LONGEST = 32


class Timeline(NamedTuple):
    """Where a server writes.

    Attributes:
        system: identifier of the cluster, which its standbys and physical backups share.
        number: 1, and one more with each promotion.
    """

    system: int
    number: int


def timeline_of(session: Session) -> Timeline:
    """The timeline of a server that takes writes.

    Raises:
        DatabaseUnavailable: the server is a standby, or away.
    """
    with session.transaction() as connection:
        row = connection.execute(_HERE).fetchone()
    assert row is not None
    system, name = row
    return Timeline(system, int(name[:_DIGITS], 16))


class Timelines:
    """The newest timeline of each cluster. Thread-safe; processes share the directory.

    A cluster that was never seen is another database, of which nothing is known: it is accepted.

    Args:
        directory: has a file for each cluster, named after its identifier. Where it cannot be
            written, the process remembers for itself.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._newest: dict[int, int] = {}

    def require(self, found: Timeline, where: str) -> None:
        """Remember a timeline, or refuse one that is older than another.

        Args:
            where: host and port, for the message.

        Raises:
            DatabaseUnavailable: the server missed a promotion.
        """
        with self._lock:
            before = self._newest.get(found.system, 0)
            newest = max(before, self._kept(found))
            self._newest[found.system] = newest
        if newest > before:
            _log.info("database.timeline_seen", system=found.system, timeline=newest)
        if found.number < newest:
            raise DatabaseUnavailable(
                f"PostgreSQL at {where} is on timeline {found.number}, and timeline {newest} of "
                "the same database was seen: it is an old primary, or was promoted too late. Stop "
                "it, or make it follow the newer one. If it is the right one (a restored backup), "
                f"stop all loaders, delete {self._file(found.system)} on each machine, and start "
                "them"
            )

    def passed(self, one: Timeline) -> bool:
        """Whether a newer timeline has been seen by this process."""
        with self._lock:
            return one.number < self._newest.get(one.system, 0)

    def _file(self, system: int) -> Path:
        return self._directory / str(system)

    def _kept(self, found: Timeline) -> int:
        """The newest number in the file, with this one; 0 if there can be no file."""
        try:
            our_directory(self._directory)
            descriptor = os.open(self._file(found.system), os.O_RDWR | os.O_CREAT, 0o644)
            with os.fdopen(descriptor, "rb+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                text = file.read(_LONGEST).strip()
                # A damaged file is as good as none.
                kept = int(text) if text.isdigit() else 0
                if found.number > kept:
                    file.seek(0)
                    file.truncate()
                    file.write(b"%d\n" % found.number)
        except OSError as error:
            _log.warning("database.timeline_not_kept", why=str(error))
            return found.number
        return max(kept, found.number)
