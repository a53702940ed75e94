"""The queries of `statesys compliance`; the SQL is `compliance.sql`."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from console.queries import asking
from console.queries.asking import Asking
from runtime.rules import SiteRules

#: Tables whose size decides whether clients are counted while the user waits.
_COUNTED = ("client", "current_state")
#: Counting clients reads each state of a type several times, so the tables must be this much
#: smaller than those that are counted once (`COUNTED_BYTES`). Of 130,000 states, which have that
#: size, a type with a tenth of them takes 0.07 s of CPU.
_SMALLER = 4


class StateTotal(NamedTuple):
    """A number of clients of one condition; None stands for any type, topic or state."""

    topic_type: int | None
    topic_id: str | None
    state_id: int | None
    condition: str
    clients: int
    as_of: datetime


class StateTotals(NamedTuple):
    """Numbers of clients in the states of one topic type or topic.

    Attributes:
        states: condition -> clients, for each state id that a client has.
        told: condition -> clients that have any of these states.
        clients: condition -> all clients of the site.
        as_of: when this was counted; of two counts the older one.
        counted_now: False means that a loader counted `clients`, and perhaps the rest, at `as_of`.
    """

    states: dict[int, dict[str, int]]
    told: dict[str, int]
    clients: dict[str, int]
    as_of: datetime
    counted_now: bool

    @property
    def never(self) -> dict[str, int]:
        """Condition -> clients without any of these states."""
        found = {name: count - self.told.get(name, 0) for name, count in self.clients.items()}
        # A client may have told, or changed its condition, between two counts.
        return {name: count for name, count in found.items() if count > 0}


class ClientInState(NamedTuple):
    """A client in a list; `since` is None for a client that never told."""

    name: str
    client_id: UUID
    since: datetime | None
    last_seen: datetime | None
    condition: str


class ComplianceQueries(Asking):
    """The queries of `statesys compliance`."""

    def state_totals(
        self, topic_type: int, topic_id: str | None, *, now: datetime, rules: SiteRules
    ) -> StateTotals:
        """How many clients are in which state.

        Counted now on a small site; else as the loaders counted last. A topic that has too few
        clients for that count is counted now.

        Args:
            topic_id: None means all topics of the type.
        """
        values = {"topic_type": topic_type, "topic_id": topic_id, **self._view(now, rules)}
        if not self._counted_quickly():
            kept = self._all("kept_state_totals", StateTotal, **values)
            if kept:
                if topic_id is not None and all(row.topic_type is None for row in kept):
                    kept += self._all("small_topic_totals", StateTotal, **values)
                return _state_totals(kept, now, counted_now=False)
        # The site is small, or its loaders have not counted yet.
        counted = self._all("counted_state_totals", StateTotal, **values)
        return _state_totals(counted, now, counted_now=True)

    def clients_in_state(
        self,
        topic_type: int,
        topic_id: str | None,
        state_ids: Sequence[int] | None,
        *,
        after: UUID | None = None,
        limit: int,
        now: datetime,
        rules: SiteRules,
    ) -> list[ClientInState]:
        """The clients that have one of some states, by client id.

        Args:
            topic_id: None means any topic of the type.
            state_ids: None means the clients that never told.
            after: only clients with a larger id.
        """
        return self._all(
            "clients_without_state" if state_ids is None else "clients_in_state",
            ClientInState,
            topic_type=topic_type,
            topic_id=topic_id,
            state_ids=None if state_ids is None else list(state_ids),
            after=after,
            limit=limit,
            **self._view(now, rules),
        )

    def _counted_quickly(self) -> bool:
        names = [f"statesys.{table}" for table in _COUNTED]
        (size,) = self._scalars("bytes", tables=names)
        return bool(size <= asking.COUNTED_BYTES // _SMALLER)


def _state_totals(rows: list[StateTotal], now: datetime, *, counted_now: bool) -> StateTotals:
    states: dict[int, dict[str, int]] = {}
    told: dict[str, int] = {}
    clients: dict[str, int] = {}
    for row in rows:
        if row.topic_type is None:
            clients[row.condition] = row.clients
        elif row.state_id is None:
            told[row.condition] = row.clients
        else:
            states.setdefault(row.state_id, {})[row.condition] = row.clients
    as_of = min((row.as_of for row in rows), default=now)
    return StateTotals(states, told, clients, as_of, counted_now)
