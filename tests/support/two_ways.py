"""The law of the fast path: the full reader reads the same values from the same bytes."""

from datetime import UTC, datetime
from uuid import UUID

from schemas import xml
from schemas.canonical import Canonical, find_report, read_batch
from schemas.errors import Refused
from schemas.report import MAX_REPORT_BYTES, Report
from schemas.report_reader import parse_report
from schemas.smx import Batch, Envelope, Smx, parse_batch, render_batch, render_smx
from schemas.smx_text import smx_text


def fast_path(body: bytes) -> Canonical | None:
    """The report as the fast path finds it; None when it needs the full reader."""
    text = xml.text(body)
    return None if text is None else find_report(text)


def report_both_ways(body: bytes) -> Report:
    """Read a report by both, and check that they agree.

    Raises:
        Refused: as `parse_report` does.
    """
    found = fast_path(body)
    try:
        read = parse_report(body)
    except Refused as refusal:
        assert found is None, f"the fast path reads what is refused: {refusal}"  # noqa: PT017
        raise
    if found is not None:
        assert found.lane is read.lane
        assert found.root == xml.root_element(xml.utf8(body, max_bytes=MAX_REPORT_BYTES))
        _read_in_a_batch(found, read)
    return read


def batch_both_ways(body: bytes) -> Batch:
    """Read a batch by both, and check that they agree.

    Raises:
        Refused: as `parse_batch` does.
    """
    try:
        read = parse_batch(body)
    except Refused as refusal:
        assert _refusal(body) == (refusal.reason, refusal.detail)  # noqa: PT017
        raise
    assert read_batch(body) == [smx_text(read.batch_id, smx) for smx in read.smx]
    return read


def _read_in_a_batch(found: Canonical, read: Report) -> None:
    """Check that the fast path of the loader reads from a batch what the relay put into it."""
    smx = Smx(Envelope(UUID(int=2), datetime(2026, 3, 2, tzinfo=UTC)), read)
    body = render_batch(UUID(int=1), "relay", [render_smx(smx.envelope, found.root)])
    assert read_batch(body) == [smx_text(UUID(int=1), smx)]


def _refusal(body: bytes) -> tuple[object, str] | None:
    try:
        read_batch(body)
    except Refused as refusal:
        return refusal.reason, refusal.detail
    return None
