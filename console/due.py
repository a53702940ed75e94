"""When a check asks a client for a resync, in words."""

from datetime import datetime

from console.output import age, moment
from console.queries.rows import MissingRow


def due_words(at: datetime | None, held_by: str | None, now: datetime) -> str:
    """One phrase.

    Args:
        at, held_by: as in `console.queries.rows.DueRow`.
        now: the moment at which they were read.
    """
    if held_by is None:
        return "now"
    if at is not None:
        return f"in {age(at - now)} ({held_by})"
    return "waiting for the answer" if held_by == "open request" else f"not asked: {held_by}"


def asked_words(row: MissingRow) -> str:
    """Whether and when the client was asked about a missing range, in one phrase."""
    if row.asked_at is None or (row.asked_at < row.detected_at and row.ask_closed_how):
        return "not asked"
    if row.ask_closed_how is not None:
        return f"{row.ask_closed_how}, asked {moment(row.asked_at)}"
    return f"{'asked' if row.ask_sent_at else 'to be asked'} {moment(row.asked_at)}"
