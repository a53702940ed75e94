"""The law for every input: it is refused, or it passes all steps with its values unchanged."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple
from uuid import UUID

from loader.prepare import stage_lines
from relay.validate import accept
from runtime.broker import Delivery, Properties
from schemas.digest import FIELD
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.report import MAX_REPORT_BYTES, Report
from schemas.resync import parse_request, render_request
from schemas.smx import Batch, parse_batch, render_batch, render_smx
from schemas.smx_text import smx_text
from tests.fuzz import documents
from tests.fuzz.mutations import mutated
from tests.support.two_ways import batch_both_ways, report_both_ways

RECEIVED_AT = datetime(2026, 3, 2, tzinfo=UTC)
_PROPERTIES = Properties(
    reply_to="statesys.resync.0a1b2c3d", message_id="m", timestamp=1_770_000_000
)
#: Columns of the staging table.
_FIELDS = 29


class Outcome(NamedTuple):
    """The outcome of one input.

    Attributes:
        reason: why it was refused; None when it was read.
        batch: what a loader reads; None for a refused input and for a request.
        smx: the element that a relay makes of a report; None for other kinds.
        canonical: whether it is a report that takes the fast path.
    """

    reason: Reason | None
    batch: Batch | None = None
    smx: bytes | None = None
    canonical: bool = False


def report(body: bytes) -> Outcome:
    """Take a report through all steps of relay and loader that need no server."""
    try:
        read = report_both_ways(body)
        taken = accept(
            Delivery(1, "", body, _PROPERTIES, redelivered=False),
            received_at=RECEIVED_AT,
            max_bytes=MAX_REPORT_BYTES,
        )
    except Refused as refusal:
        return _refused(refusal)
    assert taken.messages == len(read.messages)
    assert taken.lane is read.lane
    batch = batch_both_ways(render_batch(UUID(int=1), "fuzz", [taken.smx]))
    assert [smx.report for smx in batch.smx] == [read], "the loader reads other values"
    assert batch.smx[0].envelope.reply_to == _PROPERTIES.reply_to
    _written_anew(batch)
    _prepared(batch)
    return Outcome(None, batch, taken.smx, taken.canonical)


def batch(body: bytes) -> Outcome:
    """Take a batch through the loader's steps that need no server."""
    try:
        read = batch_both_ways(body)
    except Refused as refusal:
        return _refused(refusal)
    _prepared(read)
    return Outcome(None, read)


def request(body: bytes) -> Outcome:
    """Read a resync request as a client does, and render it again."""
    try:
        read = parse_request(body)
    except Refused as refusal:
        return _refused(refusal)
    assert parse_request(render_request(read)) == read
    return Outcome(None)


class Kind(NamedTuple):
    """A kind of documents.

    Attributes:
        good: makes a good document.
        law: raises when a mutated document breaks the law.
    """

    good: Callable[[Random, int], str]
    law: Callable[[bytes], Outcome]


KINDS: Mapping[str, Kind] = {
    "report": Kind(documents.good_report, report),
    "batch": Kind(documents.good_batch, batch),
    "request": Kind(documents.good_request, request),
}


def made(kind: str, seed: int, number: int) -> bytes:
    """Make input `number` of a seed."""
    return mutated(KINDS[kind].good, Random(f"{seed} {kind} {number}"), number)


def neighbours(smx: list[bytes], expected: list[Report]) -> None:
    """Check that reports read one by one have the same values in one batch."""
    read = batch_both_ways(render_batch(UUID(int=2), "fuzz", smx))
    assert [one.report for one in read.smx] == expected, "in one batch they read differently"


def _refused(refusal: Refused) -> Outcome:
    # The detail becomes a header of the dead letter, so it must be encodable.
    assert refusal.detail
    refusal.detail.encode()
    return Outcome(refusal.reason)


def _written_anew(batch: Batch) -> None:
    """Render the values again, as a loader does for the dead letter of a poison message."""
    (one,) = batch.smx
    try:
        smx = render_smx(one.envelope, one.report)
    except Refused as refusal:
        # The text of CDATA is escaped now, and may be five times as long.
        assert refusal.reason is Reason.TOO_LARGE  # noqa: PT017
        return
    assert parse_batch(render_batch(batch.batch_id, "fuzz", [smx])).smx == batch.smx


def _prepared(read: Batch) -> None:
    items = [smx_text(read.batch_id, one) for one in read.smx]
    lines = stage_lines(items).decode().split("\n")
    assert lines.pop() == ""
    assert 0 < len(lines) <= sum(len(item.texts) for item in items)
    assert all(line.count(FIELD) == _FIELDS - 1 for line in lines)
