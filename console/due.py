"""When a check asks a client for a resync, in words."""

from datetime import datetime

from console.output import age


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
