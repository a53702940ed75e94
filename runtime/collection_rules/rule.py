"""The values of a rule: what one client must be like to be a member.

All of them are frozen, and valid from birth: `reader` makes them.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TypeAlias

#: What `client_condition` (schemas/postgres) calls the conditions of clients.
CONDITIONS = ("duplicate identity", "gaps", "silent", "quiet", "complete")


class Comparison(Enum):
    """How two values of an order are compared."""

    LESS = "<"
    AT_MOST = "<="
    EQUAL = "="
    UNEQUAL = "!="
    AT_LEAST = ">="
    MORE = ">"


@dataclass(frozen=True, slots=True)
class HasState:
    """Some current state of the topic type has one of the ids.

    Attributes:
        topic_id: only states of this topic, byte for byte; None means any.
        state_ids: at least one.
    """

    topic_type: int
    topic_id: str | None
    state_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EveryState:
    """There is a current state of the topic type, and each of them has one of the ids.

    Attributes:
        topic_id, state_ids: as in `HasState`.
    """

    topic_type: int
    topic_id: str | None
    state_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NoState:
    """There is no current state of the topic type; `topic_id` as in `HasState`."""

    topic_type: int
    topic_id: str | None


@dataclass(frozen=True, slots=True)
class NameIs:
    """The client's name is one of these, in any letter case."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NameLike:
    """The whole name fits a pattern in any letter case: `*` is any text, `?` one character."""

    pattern: str


@dataclass(frozen=True, slots=True)
class VersionIs:
    """The client's version compares so.

    Versions are compared part by part as numbers; missing parts at the end are 0. A client whose
    version is not numbers with dots between them fulfils no comparison.

    Attributes:
        parts: without zeros at the end.
    """

    comparison: Comparison
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """How long ago the client was last seen compares so.

    A client of which nothing was ever received counts from when it was first heard of, as for its
    condition.
    """

    comparison: Comparison
    ago: timedelta


@dataclass(frozen=True, slots=True)
class ConditionIs:
    """The client's condition is one of these of `CONDITIONS`."""

    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold. Each part either holds or does not: nothing is unknown."""

    part: "Rule"


@dataclass(frozen=True, slots=True)
class AllOf:
    """All parts hold."""

    parts: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple["Rule", ...]


Term: TypeAlias = (
    HasState | EveryState | NoState | NameIs | NameLike | VersionIs | Seen | ConditionIs
)
Rule: TypeAlias = Term | Not | AllOf | AnyOf
