"""One thing that is wrong with a site, and how much harm it does."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How much harm is done: the pipeline stands, something is lost or wrong, or good to know."""

    CRITICAL = "critical"
    WARNING = "warning"
    NOTICE = "notice"


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        name: of this kind of finding, as `no relay`; it stays the same while the number changes.
        number: of clients, messages or what else the sentence counts; None if nothing is counted.
        since: None when it is not known.
        page: path of the viewer's page that shows more.
        command: the command that shows more, or helps.
    """

    severity: Severity
    name: str
    number: int | None
    sentence: str
    since: datetime | None = None
    page: str = "/pipeline"
    command: str = "statesys status"


def are(count: int) -> str:
    """The verb of so many."""
    return "is" if count == 1 else "are"


def were(count: int) -> str:
    """Its past."""
    return "was" if count == 1 else "were"


def ending(count: int) -> str:
    """The ending of another verb."""
    return "s" if count == 1 else ""
