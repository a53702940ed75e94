"""Chunks into tables: one connection, one transaction for each chunk.

The SQL is `load.sql` and `ledger.sql`.
"""

from datetime import timedelta
from importlib.resources import files
from typing import NamedTuple

from loader.prepare import COPY, nobodys_lines
from runtime.database import own_session

_PREPARE = b"\n".join(
    files("loader").joinpath(name).read_bytes() for name in ("load.sql", "ledger.sql")
)
#: Each statement is planned once, perhaps while all tables are empty, and that plan must be right
#: at any size: it looks rows up by index or by their place, also where reading a small table from
#: end to end is said to cost less. Planning anew would cost a fifth of a chunk.
_PLANS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}


class Loaded(NamedTuple):
    """What became of the messages of a chunk, in messages."""

    new: int
    late: int
    reused: int
    duplicates: int


class ChunkStore:
    """A loader thread's connection; not shared between threads.

    Args:
        url: of the database.
        name: of the thread, shown in pg_stat_activity.
        reuse_tolerance: see `reuse_date_tolerance` in the settings.
        max_ranges: missing ranges kept for one client.
        min_missing_age: a range that closes younger leaves no trace.

    Raises:
        DatabaseUnavailable: no connection.
        SchemaMissing: the tables are not there.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        reuse_tolerance: timedelta,
        max_ranges: int,
        min_missing_age: timedelta,
    ) -> None:
        self._session = own_session(url, name, different=_PLANS)
        try:
            self._session.execute(_PREPARE)
            self._session.commit()
        except BaseException:
            self._session.close()
            raise
        # One string without parameters travels as one message: the server takes the locks,
        # does the work and commits, whether this process still runs or not.
        work = (
            "EXECUTE lock_clients;"
            f"EXECUTE store_messages('{reuse_tolerance.total_seconds()} s');"
            "EXECUTE note_claims; EXECUTE complete_claims;"
            f"EXECUTE merge_ranges({int(max_ranges)});"
            f"EXECUTE keep_ledger('{min_missing_age.total_seconds()} s');"
        )
        self._commit = f"{work}COMMIT".encode()
        self._undo = f"{work}SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK".encode()

    def load(self, lines: bytes) -> Loaded:
        """Load one chunk in one transaction.

        Args:
            lines: rows of the stage, of `loader.prepare.stage_lines`.

        Raises:
            PoisonError: some row is refused for what it holds; nothing was stored.
            DatabaseUnavailable: try again later; nothing was stored, or the answer was lost
                after the commit, in which case the same rows will count as duplicates.
            SchemaMissing: a table is gone.
        """
        return self._run(lines, self._commit)

    def probe(self) -> None:
        """Load a message of nobody's and undo it: whether the tables take rows at all.

        Raises:
            As `load`: it is not about the rows of a chunk that they are refused.
        """
        self._run(nobodys_lines(), self._undo)

    def _run(self, lines: bytes, rest: bytes) -> Loaded:
        try:
            with self._session.translated(), self._session.connection.cursor() as cursor:
                with cursor.copy(COPY) as copy:
                    copy.write(lines)
                cursor.execute(rest)
                cursor.nextset()
                row = cursor.fetchone()
                assert row is not None
                return Loaded(*row)
        except BaseException:
            self._session.roll_back()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    @property
    def broken(self) -> bool:
        """Whether the connection is lost, so that a new store is needed."""
        return self._session.broken
