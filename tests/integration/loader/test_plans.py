"""The lookups of a chunk use the indexes, also with plans made when the tables were empty."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from loader.prepare import COPY, stage_lines
from loader.store.chunks import ChunkStore
from loader.store.partitions import PartitionStore
from schemas.smx_text import smx_text
from tests.support.world import Tables, load, message, report, smx

STATEMENTS = (
    "lock_clients",
    "store_messages('300 s')",
    "note_claims",
    "complete_claims",
    "merge_ranges(1000)",
    "keep_ledger('172800 s')",
)
#: Tables that have as many rows as the site has clients, or more.
LARGE = ("client", "state_message", "current_state", "missing_message_range", "resync_request")
#: Many clients, some with one message, in the state that loading them one by one would leave.
FILL = """
INSERT INTO client (client_id, highest_serial, accounted, highest_report_date, last_seen)
SELECT (lpad(to_hex(n), 8, '0') || '-0000-4000-8000-000000000000')::uuid, 1, '{[1,2)}',
       now(), now()
FROM generate_series(1, %s) n;
INSERT INTO state_message
SELECT client_id, 1, NULL, decode(md5(client_id::text), 'hex'), 500, 't1', 3, '', '', 1, 0, now(),
       '{}', NULL, NULL, now(), NULL, now(), gen_random_uuid(), gen_random_uuid(), false, NULL,
       now()
FROM client WHERE highest_serial = 1 LIMIT 50000;
INSERT INTO current_state
SELECT client_id, topic_type, topic_id, user_sid, id_type, state_id, criticality, serial,
       message_time, digest, params, details
FROM state_message JOIN client USING (client_id) WHERE highest_serial = 1;
"""


def plan(store: ChunkStore, statement: str, *, analyze: str = "") -> dict[str, Any]:
    """The plan of one statement of a chunk, in the connection that prepared it."""
    with store._session.connection.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            copy.write(chunk())
        cursor.execute(f"EXPLAIN (FORMAT JSON {analyze}) EXECUTE {statement}".encode())
        row = cursor.fetchone()
    store._session.connection.rollback()
    assert row is not None
    found: dict[str, Any] = (json.loads(row[0]) if isinstance(row[0], str) else row[0])[0]
    return found


def chunk() -> bytes:
    """A chunk of usual size, of 60 clients: known, new, and without a serial."""
    reports = [
        report(
            message(None, topic=f"t{number}"),
            *(message(serial, topic=f"t{serial}") for serial in range(1, 5)),
            client=UUID(f"{number:08x}-0000-4000-8000-000000000000"),
        )
        for number in range(100, 160)
    ]
    return stage_lines([smx_text(uuid4(), smx(one)) for one in reports])


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from nodes(child)


def read_from_end_to_end(found: dict[str, Any], *, of: tuple[str, ...]) -> set[str]:
    """Tables of which a plan reads every row, or every entry of an index."""
    return {
        node["Relation Name"]
        for node in nodes(found["Plan"])
        if node.get("Relation Name", "").startswith(of)
        and (
            node["Node Type"] == "Seq Scan"
            or (
                node["Node Type"].startswith("Index")
                and "client_id" not in node.get("Index Cond", "")
            )
        )
    }


def empty_partitions(tables: Tables) -> set[str]:
    """The partitions of other days; a scan of an empty partition costs nothing."""
    query = (
        "SELECT relname FROM pg_class WHERE relname LIKE 'state_message_%%' "
        "AND relkind = 'r' AND pg_relation_size(oid) = 0"
    )
    return {name for (name,) in tables.rows(query)}


@pytest.mark.parametrize("rows", [0, 1_000, 1_000_000])
def test_plans_made_when_there_was_nothing_read_no_table_from_end_to_end(
    rows: int, open_store: Callable[..., ChunkStore], tables: Tables
) -> None:
    store = open_store()
    # From the sixth execution on, PostgreSQL might keep a generic plan.
    for serial in range(1, 8):
        load(store, report(message(serial), message(None, topic="unnumbered")))
    tables.connection.execute(FILL.replace("%s", str(rows)))
    empty = empty_partitions(tables)
    for statement in STATEMENTS:
        assert read_from_end_to_end(plan(store, statement), of=LARGE) <= empty, statement
    # New statistics make PostgreSQL plan again.
    tables.connection.execute("ANALYZE client, state_message, current_state")
    for statement in STATEMENTS:
        assert read_from_end_to_end(plan(store, statement), of=LARGE) <= empty, statement


def test_a_plan_over_a_whole_retention_is_not_compiled(
    database_url: str, open_store: Callable[..., ChunkStore]
) -> None:
    # With a partition for each day the plans look expensive enough for PostgreSQL to compile
    # them to machine code, which takes a hundred times as long as running them.
    partitions = PartitionStore(database_url, name="test")
    today = datetime.now(UTC).date()
    for week in range(1, 13):
        partitions.keep(retention=timedelta(days=36500), today=today - timedelta(days=7 * week))
    partitions.close()
    store = open_store()
    for statement in STATEMENTS:
        assert "JIT" not in plan(store, statement, analyze=", ANALYZE")
