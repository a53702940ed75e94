"""What is wrong with clients, by their condition."""

from collections.abc import Iterator

from console.findings.finding import Finding, Severity, are
from console.output import counted
from console.queries.clients import Completeness, Condition
from console.status.gather import DatabaseStatus

#: Condition, severity, and the rest of a sentence about so many clients.
_CONDITIONS = (
    (
        Condition.DUPLICATE_IDENTITY,
        Severity.WARNING,
        "{share} a client id with another machine; their states replace each other",
    ),
    (Condition.GAPS, Severity.WARNING, "{have} gaps"),
    (
        Condition.SILENT,
        Severity.WARNING,
        "left three resync requests in a row unanswered, and {are} not asked until something comes",
    ),
    (Condition.QUIET, Severity.NOTICE, "{have} not been heard of for three heartbeat intervals"),
)


def conditions(completeness: Completeness, half: DatabaseStatus | None) -> Iterator[Finding]:
    """A finding for each condition that clients are in.

    Args:
        half: what else is known; None when nothing is.
    """
    for condition, severity, words in _CONDITIONS:
        count, gaps = completeness.clients.get(condition, 0), condition is Condition.GAPS
        page = "/gaps" if gaps else f"/clients?condition={condition.replace(' ', '+')}"
        if condition is Condition.SILENT and half is not None and half.totals.silent > count:
            # The condition of those that have gaps as well is "gaps".
            count, page = half.totals.silent, "/resyncs?state=unanswered"
        if not count:
            continue
        one = count == 1
        rest = words.format(
            share="shares" if one else "share", have="has" if one else "have", are=are(count)
        )
        quoted = f"'{condition}'" if " " in condition else condition
        yield Finding(
            severity,
            condition.value,
            count,
            f"{counted(count, 'client')} {rest}{_missing(half) if gaps and half else ''}",
            half.missing_since if gaps and half else None,
            page,
            "statesys gaps" if gaps else f"statesys clients --condition {quoted}",
        )


def _missing(half: DatabaseStatus) -> str:
    ranges, serials = half.totals.missing_ranges, half.totals.missing_serials
    if not ranges:
        return ""
    return f": {counted(serials, 'message')} {are(serials)} missing in {counted(ranges, 'range')}"
