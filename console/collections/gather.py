"""What the commands of collections ask the database."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from console.queries.collections import CollectionQueries, CollectionRow, MemberRow
from runtime.collection_rules import Rule, RuleRefused, parse_rule, require_collection_name
from schemas.errors import StatesysError, UnknownCollection


class UnreadableRule(StatesysError):
    """Another version stored the rule, and this one cannot read it."""


class Membership(NamedTuple):
    """A page of members, by client id, and the moment of which it is true."""

    as_of: datetime
    rows: list[MemberRow]


def known(queries: CollectionQueries, name: str) -> CollectionRow:
    """The collection of a name, in any letter case.

    Raises:
        RuleRefused: it is no name.
        UnknownCollection: there is none of it.
    """
    require_collection_name(name)
    found = queries.collection(name)
    if found is None:
        raise UnknownCollection(name)
    return found


def rule_of(collection: CollectionRow) -> Rule:
    """The rule of a collection as it is stored.

    Raises:
        UnreadableRule: it is one of another version, whose rules differ.
    """
    try:
        return parse_rule(collection.rule)
    except RuleRefused as error:
        raise UnreadableRule(
            f"this version cannot read the rule of collection {collection.name}, which another "
            f"one stored: {error}; upgrade, or give it another rule with `statesys collections "
            "create --replace`"
        ) from None


def conditions_now(queries: CollectionQueries, collection: CollectionRow) -> dict[str, int] | None:
    """Members by condition at this moment; None if this version cannot read the rule."""
    try:
        return queries.member_conditions(rule_of(collection))
    except UnreadableRule:
        return None


def members(
    queries: CollectionQueries,
    collection: CollectionRow,
    *,
    limit: int,
    after: UUID | None = None,
    joined_since: timedelta | None = None,
    at_once: bool = False,
) -> Membership:
    """Those that fulfil the rule now; on a large site, those that a loader found last.

    A rule that few of a million clients fulfil takes seconds to find fifty of them.

    Args:
        limit: rows at most.
        after: only clients with a higher id.
        joined_since: only members that joined within this time.
        at_once: on a large site, too: evaluate the rule now.

    Raises:
        UnreadableRule: the rule is one of another version, and has to be evaluated now.
    """
    now = queries.now()
    begin = None if joined_since is None else now - joined_since
    place: dict[str, Any] = {"limit": limit, "after": after, "joined_since": begin}
    if at_once or collection.evaluated_at is None or queries.countable():
        return Membership(now, queries.members(collection, rule_of(collection), **place))
    return Membership(collection.evaluated_at, queries.evaluated_members(collection, **place))
