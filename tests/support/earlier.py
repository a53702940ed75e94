"""A site of the time when there was one file of tables: its loader, or its tables with data."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from loader.migrations import migrate
from loader.store import chunks
from schemas import tables
from tests.support.paths import DATA

#: When the tables of `first-tables.sql` were dumped.
_DUMPED = datetime(2026, 11, 26, 21, 55, tzinfo=UTC)
_DAYS = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b|(?<=state_message_)(\d{4})(\d\d)(\d\d)")
#: A line of the statement that stores messages, which counts them in a column of a later file.
_COUNTING = b"messages = c.messages + a.copies,"


def migrate_before(url: str, file: str) -> None:
    """Make the tables as they were before a file, such as `0013`."""
    earlier = [one for one in tables.files() if one[0] < file]
    with pytest.MonkeyPatch.context() as before:
        before.setattr(tables, "files", lambda: earlier)
        migrate(url)


def with_first_tables(before: pytest.MonkeyPatch) -> None:
    """Migrate and load as then, until the patches are undone."""
    files = tables.files()
    before.setattr(tables, "files", lambda: files[:1])
    without = chunks._PREPARE.replace(_COUNTING, b"")
    assert without != chunks._PREPARE
    before.setattr(chunks, "_PREPARE", without)


def first_tables_with_data() -> str:
    """SQL that makes them, as if dumped within the last day: old history would be deleted."""
    later = timedelta(days=(datetime.now(UTC) - _DUMPED).days)

    def shifted(found: re.Match[str]) -> str:
        year, month, day = (int(part) for part in found.groups() if part is not None)
        moved = date(year, month, day) + later
        return f"{moved:%Y-%m-%d}" if found[1] else f"{moved:%Y%m%d}"

    return _DAYS.sub(shifted, (DATA / "first-tables.sql").read_text(encoding="utf-8"))
