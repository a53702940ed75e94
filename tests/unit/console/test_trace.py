"""What `statesys trace` says of a serial without a row in the history."""

from datetime import UTC, datetime
from uuid import UUID

from console.queries.rows import ClientRow
from console.trace.gather import SerialTrace
from schemas.serials import SerialRanges

CLIENT = UUID("11111111-1111-4111-8111-111111111111")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def verdict(serial: int, *, resynced_below: int) -> str:
    """The verdict on a serial of a client that has serials 1 to 9, all accounted for."""
    client = ClientRow(
        client_id=CLIENT,
        name="PC-1",
        version="5.00",
        highest_serial=9,
        accounted=SerialRanges([(1, 9)]),
        resynced_below=resynced_below,
        reuse_seen_at=None,
        duplicate_identity_at=None,
        reply_queue=None,
        first_seen=NOW,
        last_seen=NOW,
        last_message_time=None,
        duplicates=0,
        superseded=0,
        reused=0,
    )
    return SerialTrace(CLIENT, serial, client, [], None, [], [], None).verdict


def test_an_overtaken_serial_without_a_row_may_have_come_and_left_with_its_partition() -> None:
    assert verdict(3, resynced_below=5) == (
        "overtaken: not in the history (it never came, or its partition is gone), and a completed "
        "resync brought the whole state from serial 5 on"
    )


def test_a_serial_above_the_last_resync_left_with_its_partition() -> None:
    assert verdict(7, resynced_below=5) == (
        "accounted for, but no longer in the history (its partition is gone)"
    )
