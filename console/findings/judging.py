"""All checks together."""

from collections.abc import Iterator
from datetime import datetime

from console.findings import of_broker, of_database
from console.findings.finding import Finding, Severity
from console.findings.of_clients import conditions
from console.queries.clients import Completeness
from console.status.gather import Status

#: What is said when there are no findings.
NOTHING = "nothing is wrong"
_ORDER = [*Severity]


def findings(status: Status, completeness: Completeness | None, now: datetime) -> list[Finding]:
    """What is wrong, in order of harm; empty when nothing is.

    Args:
        completeness: None when it is not known.
        now: aware.
    """
    found = [*_away(status)]
    if status.broker is not None:
        for check in of_broker.CHECKS:
            found += check(status.broker)
    if status.database is not None:
        for look in of_database.CHECKS:
            found += look(status.database, now)
    if completeness is not None:
        found += conditions(completeness, status.database)
    # The sort keeps the order of the checks within a severity.
    return sorted(found, key=lambda one: _ORDER.index(one.severity))


def _away(status: Status) -> Iterator[Finding]:
    halves = ((status.database, "database", 0), (status.broker, "broker", -1))
    for half, name, place in halves:
        if half is None and status.troubles:
            yield Finding(Severity.CRITICAL, f"{name} away", None, status.troubles[place])
