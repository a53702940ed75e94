"""Loads chunks into tables, each in one transaction.

The SQL is `load.sql` and `ledger.sql`.
"""

from datetime import timedelta
from importlib.resources import files
from typing import NamedTuple

from loader.prepare import COPY, probe_lines
from runtime.database import own_session
from runtime.database.timelines import Timelines, timeline_of

_PREPARE = b"\n".join(
    files("loader").joinpath(name).read_bytes() for name in ("load.sql", "ledger.sql")
)
#: Each statement is planned once, perhaps while all tables are empty, and the plan must stay right
#: at any size. So it finds rows by index or ctid, even where a sequential scan is estimated to be
#: cheaper. Planning for each chunk would take a fifth of its time.
_PLANS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}


class Loaded(NamedTuple):
    """How many messages of a chunk had which verdict; `load.sql` has the rules."""

    new: int
    late: int
    reused: int
    duplicates: int


class ChunkStore:
    """A loader thread's connection; not shared between threads.

    Args:
        url: URL of the database.
        name: name of the connection, shown in pg_stat_activity.
        reuse_tolerance: `reuse_date_tolerance` of the settings.
        max_ranges: maximum number of missing ranges for one client; more are merged into one.
        min_missing_age: a range that closes before this age is deleted.
        timelines: what was seen of servers; None accepts any.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or missed a promotion.
        SchemaMissing: the tables do not exist.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        reuse_tolerance: timedelta,
        max_ranges: int,
        min_missing_age: timedelta,
        timelines: Timelines | None = None,
    ) -> None:
        self._timelines = timelines
        self._session = own_session(url, name, different=_PLANS)
        try:
            self._session.execute(_PREPARE)
            self._session.commit()
            self._timeline = timeline_of(self._session)
            if timelines is not None:
                timelines.require(self._timeline, self._session.where)
        except BaseException:
            self._session.close()
            raise
        # One string without parameters is one message to the server, which then takes the locks,
        # does the work and commits even if this process stops.
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
            lines: rows of the table `stage`, rendered by `loader.prepare.stage`.

        Raises:
            PoisonError: PostgreSQL refuses a row because of its content; nothing was stored.
            DatabaseUnavailable: try again later. Nothing was stored, or the answer was lost after
                the commit; then the same rows count as duplicates in the next try.
            SchemaMissing: a table does not exist.
        """
        return self._run(lines, self._commit)

    def probe(self) -> None:
        """Check that the tables accept rows at all: load a made-up message and roll back.

        Raises:
            PoisonError, DatabaseUnavailable, SchemaMissing: as `load`. A refusal of a chunk is then
                not about its rows.
        """
        self._run(probe_lines(), self._undo)

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
        """Whether the connection is lost, or its server was replaced: a new store is needed."""
        passed = self._timelines is not None and self._timelines.passed(self._timeline)
        return passed or self._session.broken
