"""Lists of clients, and how many are in which condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from console.queries.asking import Asking, named_text
from runtime.database import sql
from schemas.errors import UnknownCollection


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
        given = {
            "name": None if self.name is None else _like(self.name.lower()),
            "version": None if self.version is None else _like(self.version),
            "stale": self.stale,
            "collection": self.collection,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Completeness:
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


class ClientQueries(Asking):
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
        after: UUID | None = None,
        limit: int | None = None,
        now: datetime | None = None,
    ) -> list[ListedClient]:
        """A page of a list of clients.

        Args:
            after: the last client of the page before; None for the first page.
            limit: clients at most; None means all.
        """
        parts = [f"where_{name}" for name in chosen.parts]
        if chosen.condition is not None:
            parts.append(f"where_{chosen.condition.name.lower()}")
        if after is not None:
            parts.append(f"after_{order}")
        query = sql.SQL(named_text("clients")).format(
            where=sql.SQL(" AND ").join(
                [sql.SQL("true"), *(sql.SQL(named_text(part)) for part in parts)]
            ),
            order=_order(order, "c"),
            page_order=_order(order, "page"),
        )
        values = {**chosen.parts, "after": after, "limit": limit, **self._view(now)}
        return self._rows_of(query, ListedClient, values)


class _Count(NamedTuple):
    condition: str
    clients: int


def _order(order: Order, of: str) -> sql.Composed:
    return sql.SQL(named_text(f"order_{order}")).format(of=sql.Identifier(of))


def _like(pattern: str) -> str:
    """A pattern of LIKE that matches the same as a pattern with `*`."""
    for special in "\\%_":
        pattern = pattern.replace(special, f"\\{special}")
    return pattern.replace("*", "%")
