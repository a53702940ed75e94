"""The sentence that stands beside every count of clients."""

from datetime import datetime, timedelta

from console.output import age
from console.queries.clients import Completeness, Condition

_WORDS = {
    Condition.COMPLETE: "{} {are} complete up to {their} last report",
    Condition.GAPS: "{} {have} gaps",
    Condition.SILENT: "{} {are} silent",
    Condition.QUIET: "{} {are} quiet",
    Condition.DUPLICATE_IDENTITY: "{} {have} a duplicate identity",
}

#: The conditions, in the order of tables.
CONDITIONS = tuple(condition.value for condition in _WORDS)


def sentence(found: Completeness, now: datetime) -> str:
    """Say of how many clients the server has everything.

    Args:
        now: the database's clock, for the age of a count that a loader keeps.
    """
    clients = f"of {found.total:,} client" + ("" if found.total == 1 else "s")
    parts = ", ".join(
        _words(words, found.clients.get(condition, 0))
        for condition, words in _WORDS.items()
        if condition is Condition.COMPLETE or found.clients.get(condition)
    )
    old = max(now - found.as_of, timedelta(0))
    counted = f" ({age(old)} ago)" if old >= timedelta(seconds=1) else ""
    return f"{clients} {parts}; as of {found.as_of.isoformat(timespec='seconds')}{counted}"


def _words(words: str, count: int) -> str:
    one = count == 1
    return words.format(
        f"{count:,}",
        are="is" if one else "are",
        have="has" if one else "have",
        their="its" if one else "their",
    )
