"""Lists of clients, and how many are in which condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from pydantic import AwareDatetime

from console.queries.query_session import QuerySession, all_of, named_text
from console.queries.rows import ClientRow, StoredText
from runtime.database import sql
from schemas.errors import UnknownCollection

#: Clients that are found by the index and sorted within a quarter of a second.
_FEW = 100_000


class Condition(StrEnum):
    """What is the matter with a client; the first that fits, in this order."""

    DUPLICATE_IDENTITY = "duplicate identity"
    GAPS = "gaps"
    SILENT = "silent"
    QUIET = "quiet"
    COMPLETE = "complete"


class Order(StrEnum):
    """How a list of clients is sorted: by name, by id, or longest not heard of first."""

    NAME = "name"
    SEEN = "seen"
    ID = "id"


class ListedClient(NamedTuple):
    """A client in a list.

    Attributes:
        last_change: the newest message time of its current states; None without states.
        states: number of its current states.
    """

    client_id: UUID
    name: str
    version: str
    first_seen: datetime
    last_seen: datetime | None
    highest_serial: int
    condition: str
    last_change: datetime | None
    states: int


class ClientKey(NamedTuple):
    """The place of a client in a list: what the lists are sorted by, as it was read.

    A client may report, or be deleted, before the next page is read.
    """

    name: StoredText
    last_seen: AwareDatetime | None
    client_id: UUID

    @classmethod
    def of(cls, row: "ListedClient | ClientRow") -> "ClientKey":
        """The place of a row."""
        return cls(row.name, row.last_seen, row.client_id)


@dataclass(frozen=True, kw_only=True)
class ClientFilter:
    """Which clients a list has; None does not restrict it.

    Attributes:
        name, version: patterns in which `*` stands for any text; names in any letter case.
        stale: not heard of for at least this long.
        collection: only its members at the last evaluation.
    """

    condition: Condition | None = None
    name: str | None = None
    version: str | None = None
    stale: timedelta | None = None
    collection: str | None = None

    @property
    def parts(self) -> dict[str, object]:
        """The values of the restrictions that are given, by name."""
        name = None if self.name is None else self.name.lower()
        given = {
            "name": None if name is None else _like(name),
            "name_parts": name if name is not None and _has_parts(name) else None,
            "version": None if self.version is None else _like(self.version),
            "stale": self.stale,
            "collection": self.collection,
        }
        return {name: value for name, value in given.items() if value is not None}


class Completeness(NamedTuple):
    """How many clients the server has everything of, as of a moment.

    Attributes:
        clients: number of clients by condition.
    """

    as_of: datetime
    clients: Mapping[str, int]

    @property
    def total(self) -> int:
        """All clients."""
        return sum(self.clients.values())


class ClientQueries(QuerySession):
    """The queries of lists of clients."""

    def completeness(self, *, now: datetime | None = None) -> Completeness:
        """How many clients are in which condition: on a large site, as the loaders counted last."""
        now = now or self.now()
        with self.snapshot():
            if not self._small("client", "missing_message_range", "resync_request"):
                kept = dict(self._all("kept_conditions", _Count))
                as_of = self._scalars("kept_at")
                if kept and as_of:
                    return Completeness(as_of[0], kept)
            counted = self._all("counted_conditions", _Count, **self._view(now))
            return Completeness(now, dict(counted))

    def evaluated(self, collection: str) -> datetime | None:
        """When a collection was evaluated last; None if it was not yet.

        Raises:
            UnknownCollection: there is none of the name.
        """
        found = self._scalars("evaluated", collection=collection)
        if not found:
            raise UnknownCollection(collection)
        moment: datetime | None = found[0]
        return moment

    def clients(
        self,
        chosen: ClientFilter,
        *,
        order: Order = Order.NAME,
        after: ClientKey | None = None,
        limit: int | None = None,
        now: datetime | None = None,
    ) -> list[ListedClient]:
        """A page of a list of clients.

        Args:
            after: of the last client of the page before; None for the first page.
            limit: clients at most; None means all.
        """
        parts = [f"where_{name}" for name in chosen.parts]
        if chosen.condition is not None:
            parts.append(f"where_{chosen.condition.name.lower()}")
        if after is not None:
            parts.append(f"after_{order}")
        few = order is not Order.SEEN and self._few_in(chosen.condition)
        query = sql.SQL(named_text("clients")).format(
            materialized=sql.SQL("MATERIALIZED" if few else "NOT MATERIALIZED"),
            where=all_of(parts),
            in_condition=all_of([] if chosen.condition is None else ["in_condition"]),
            order=_order(order, "c"),
            page_order=_order(order, "page"),
        )
        key = {} if after is None else {f"after_{n}": v for n, v in after._asdict().items()}
        values = {
            **chosen.parts,
            **key,
            "condition": chosen.condition,
            "limit": limit,
            **self._view(now),
        }
        return self._rows_of(query, ListedClient, values)

    def _few_in(self, condition: Condition | None) -> bool:
        """Whether a list is quicker by the index on the last report, then sorted.

        Otherwise it is read in its own order until a page is full, which takes long if the first
        clients in that order are all in other conditions. The other conditions have indexes.
        """
        if condition not in (Condition.QUIET, Condition.COMPLETE):
            return False
        # A condition that no client is in has no count.
        kept = dict(self._all("kept_conditions", _Count))
        return bool(kept) and kept.get(condition, 0) < _FEW


class _Count(NamedTuple):
    condition: str
    clients: int


def _order(order: Order, of: str) -> sql.Composed:
    return sql.SQL(named_text(f"order_{order}")).format(of=sql.Identifier(of))


def _has_parts(pattern: str) -> bool:
    """Whether the index of parts of three characters helps; the other one finds a beginning."""
    return any(len(text) >= 3 for text in pattern.split("*")[1:])


def _like(pattern: str) -> str:
    """A pattern of LIKE that matches the same as a pattern with `*`."""
    for special in "\\%_":
        pattern = pattern.replace(special, f"\\{special}")
    return pattern.replace("*", "%")
