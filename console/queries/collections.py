"""One method for each query of `collections.sql`: values in, values out."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from console.queries.query_session import QuerySession, named_text
from runtime.collection_rules import Rule, compiled
from runtime.database import sql

#: Tables whose size decides whether rules are evaluated while the user waits.
_COUNTED = ("client", "current_state")


class CollectionRow(NamedTuple):
    """A collection, and what its last evaluation found.

    Attributes:
        evaluated_at: None until a loader has evaluated it.
        took: how long that took.
        conditions: members by condition at that moment.
        problem: why the last try failed; None if it did not.
    """

    id: int
    name: str
    rule: str
    created_at: datetime
    created_by: str
    evaluated_at: datetime | None
    took: timedelta | None
    conditions: dict[str, int] | None
    problem: str | None

    @property
    def members(self) -> int | None:
        """Members at the last evaluation."""
        return None if self.conditions is None else sum(self.conditions.values())


class MemberRow(NamedTuple):
    """A member of a collection.

    Attributes:
        joined_at: the evaluation that met it first; None: it joined since the last one.
    """

    client_id: UUID
    name: str
    version: str
    last_seen: datetime | None
    condition: str
    joined_at: datetime | None


class CollectionQueries(QuerySession):
    """The queries about collections, over one session; they raise what `QuerySession` raises."""

    def collections(self) -> list[CollectionRow]:
        """All collections, by name."""
        return self._all("collections", CollectionRow, name=None)

    def collection(self, name: str) -> CollectionRow | None:
        """The collection of a name, in any letter case; None when there is none."""
        found = self._all("collections", CollectionRow, name=name)
        return found[0] if found else None

    def members(
        self,
        collection: CollectionRow,
        rule: Rule,
        *,
        limit: int | None = None,
        after: UUID | None = None,
        joined_since: datetime | None = None,
        now: datetime | None = None,
    ) -> list[MemberRow]:
        """The clients that fulfil a rule at this moment, by client id.

        Args:
            collection: whose evaluations tell who joined when.
            rule: its rule.
            limit: rows at most; None means all.
            after: only clients with a higher id.
            joined_since: only members that joined then or later.
            now: by default the database's clock.
        """
        chosen = {"id": collection.id, "limit": limit, "after": after, "joined_since": joined_since}
        return self._of_members("members", MemberRow, rule, now, **chosen)

    def evaluated_members(
        self,
        collection: CollectionRow,
        *,
        limit: int | None = None,
        after: UUID | None = None,
        joined_since: datetime | None = None,
        now: datetime | None = None,
    ) -> list[MemberRow]:
        """The members that the last evaluation found, by client id, with their condition now.

        Args:
            As of `members`.
        """
        chosen = {"id": collection.id, "limit": limit, "after": after, "joined_since": joined_since}
        return self._all("evaluated_members", MemberRow, **chosen, **self._view(now))

    def member_conditions(self, rule: Rule, *, now: datetime | None = None) -> dict[str, int]:
        """How many clients of which condition fulfil a rule at this moment."""
        return dict(self._of_members("member_conditions", _Count, rule, now))

    def countable(self) -> bool:
        """Whether the site is small enough to evaluate any rule while the user waits."""
        return self._small(*_COUNTED)

    def _of_members(
        self, name: str, row: Any, rule: Rule, now: datetime | None, **parameters: Any
    ) -> list[Any]:
        source, of_rule = compiled(rule)
        query = sql.SQL(named_text(name)).format(source=source)
        values = {**of_rule, **self._view(now, None), **parameters}
        return self._rows_of(query, row, values)


class _Count(NamedTuple):
    condition: str
    members: int
