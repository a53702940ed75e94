"""A chunk is one transaction: if any of its steps is refused, nothing of it is stored.

The history, the current state, what is accounted for and the open ranges move together or not at
all. If one of them moved alone, a chunk that comes again would be judged wrongly, and what is
missing would stay unseen.
"""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from loader.store.chunks import ChunkStore
from schemas.errors import DatabaseUnavailable
from schemas.report import Claim
from tests.support.world import Tables, load, message, report

#: The writes of a chunk. Tests refuse each one at once or, deferred, at the COMMIT.
STEPS = (
    "INSERT ON state_message",
    "INSERT ON current_state",
    "DELETE ON current_state",
    "UPDATE ON client",
    "INSERT ON resync_request",
    "UPDATE ON resync_request",
    "INSERT ON missing_message_range",
    "UPDATE ON missing_message_range",
    "DELETE ON missing_message_range",
)
OTHER = UUID(int=1, version=4)
WRITTEN = ("client", "state_message", "current_state", "missing_message_range", "resync_request")


def refuse(tables: Tables, step: str, when: str) -> None:
    """Let one kind of write fail as on a full disk, which is not a fault of the message."""
    kind, timing = (
        ("CONSTRAINT ", "DEFERRABLE INITIALLY DEFERRED") if when == "commit" else ("", "")
    )
    tables.connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$; "
        f"CREATE {kind}TRIGGER refuse AFTER {step} {timing} FOR EACH ROW EXECUTE FUNCTION refuse()"
    )


def everything(tables: Tables) -> list[list[str]]:
    """Every row of every table that a chunk writes."""
    return [
        sorted(str(row) for row in tables.rows(f"SELECT t::text FROM {table} t"))
        for table in WRITTEN
    ]


@pytest.mark.parametrize("when", ["at once", "commit"])
@pytest.mark.parametrize("step", STEPS)
def test_a_chunk_that_is_refused_in_one_step_changes_nothing(
    step: str, when: str, open_store: Callable[..., ChunkStore], tables: Tables
) -> None:
    store = open_store(max_ranges=2, min_missing_age=timedelta(0))
    load(store, report(message(2), message(6, topic="t6")), report(message(2), client=OTHER))
    before = everything(tables)
    refuse(tables, step, when)
    # Every step has something to write: the answer overtakes t1, t6 and the ranges below it, 9 is
    # missing, and the other client has one range too many.
    chunk = [
        report(message(1), message(8, topic_type=700), claim=Claim(uuid4(), 8, 8)),
        report(message(10, topic="t10")),
        report(message(4), message(6), client=OTHER),
    ]
    with pytest.raises(DatabaseUnavailable, match="no room"):
        load(store, *chunk)
    assert everything(tables) == before

    tables.connection.execute(f"DROP TRIGGER refuse ON {step.rsplit(maxsplit=1)[-1]}")
    assert load(store, *chunk).new == 5
    assert tables.client().duplicates == 0
    assert tables.open_ranges() == [(9, 9)]
    assert tables.open_ranges(OTHER) == [(1, 5)]
