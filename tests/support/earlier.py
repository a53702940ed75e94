"""A loader of the time when there was one file of tables."""

import pytest

from loader.store import chunks
from schemas import tables

#: A line of the statement that stores messages, which counts them in a column of a later file.
_COUNTING = b"messages = c.messages + a.copies,"


def with_first_tables(before: pytest.MonkeyPatch) -> None:
    """Migrate and load as then, until the patches are undone."""
    files = tables.files()
    before.setattr(tables, "files", lambda: files[:1])
    without = chunks._PREPARE.replace(_COUNTING, b"")
    assert without != chunks._PREPARE
    before.setattr(chunks, "_PREPARE", without)
