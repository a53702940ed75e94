"""The queries of `statesys compliance`; the SQL is `compliance.sql`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from console.queries.query_session import QuerySession

#: Tables whose size decides whether clients are counted while the user waits.
_COUNTED = ("client", "current_state")
#: Counting clients reads each state of a type several times. Of 130,000 states, the most that are
#: counted then, a type with a tenth of them takes 0.07 s of CPU.
_COSTLY = 4
#: States of a topic that are counted while the user waits, on a large site. The loaders count
#: every topic that has more.
_MOST_STATES = 1_000


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
    def overlap(self) -> bool:
        """Whether the states add up to more than the clients that told."""
        return sum(sum(one.values()) for one in self.states.values()) > sum(self.told.values())

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


class KeptClients(NamedTuple):
    """The clients that were in a state at a moment."""

    client_ids: Collection[UUID]
    as_of: datetime


class _RareState(NamedTuple):
    state_id: int
    client_ids: list[UUID]
    as_of: datetime


class ToldOfType(NamedTuple):
    """A number of clients that told of a topic type, as of a moment."""

    topic_type: int
    clients: int
    as_of: datetime


class ToldOfTopic(NamedTuple):
    """A number of clients that told of a topic; `exact` False: there are this many or more."""

    topic_id: str
    clients: int
    exact: bool


class ComplianceQueries(QuerySession):
    """The queries of `statesys compliance`."""

    def state_totals(self, topic_type: int, topic_id: str | None) -> StateTotals:
        """How many clients are in which state.

        Counted now on a small site; else as the loaders counted last. A topic that has too few
        clients for that count is counted now.

        Args:
            topic_id: None means all topics of the type.
        """
        now = self.now()
        values = {"topic_type": topic_type, "topic_id": topic_id, **self._view(now)}
        if not self._small(*_COUNTED, costly=_COSTLY):
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
        among: Collection[UUID] | None = None,
        after: UUID | None = None,
        until: UUID | None = None,
        limit: int,
    ) -> list[ClientInState]:
        """The clients that have one of some states, by client id.

        Args:
            topic_id: None means any topic of the type.
            state_ids: None means the clients that never told.
            among: only these, if they have one of the states.
            after: only clients with a larger id.
            until: only clients whose id is not larger.
        """
        if among is not None and not among:
            return []
        return self._all(
            "clients_without_state" if state_ids is None else "clients_in_state",
            ClientInState,
            topic_type=topic_type,
            topic_id=topic_id,
            state_ids=None if state_ids is None else list(state_ids),
            among=None if among is None else list(among),
            after=after,
            until=until,
            limit=limit,
            **self._view(None),
        )

    def kept_clients(
        self,
        topic_type: int,
        topic_id: str | None,
        totals: StateTotals,
        state_ids: Sequence[int] | None,
    ) -> KeptClients | None:
        """The clients that had one of some states when the loaders counted them last.

        Args:
            topic_id: None means any topic of the type.
            totals: of the same topic and type.
            state_ids: None means the clients that never told.

        Returns:
            None when they were counted now, or when many clients have one of the states: it is then
            quicker to look for a page of them. That there were none is known of any state, since no
            index has the states and every client would have to be looked at; and of clients that
            never told of a type.
        """
        if state_ids is not None and totals.states.keys().isdisjoint(state_ids):
            return KeptClients((), totals.as_of)
        if totals.counted_now:
            return None
        if state_ids is None:
            # The clients that told of one topic may have been counted later than all clients.
            looks = totals.never or topic_id is not None
            return None if looks else KeptClients((), totals.as_of)
        counted = totals.states.keys() & set(state_ids)
        values = {"topic_type": topic_type, "topic_id": topic_id, "state_ids": list(counted)}
        kept = self._all("rare_states", _RareState, **values)
        if len(kept) < len(counted):
            return None
        clients = {client for row in kept for client in row.client_ids}
        return KeptClients(clients, min(row.as_of for row in kept))

    def client_behind(self, after: UUID | None, clients: int) -> UUID | None:
        """The client that is so many behind another one, by id; None when fewer follow."""
        found = self._scalars("client_behind", after=after, clients=clients)
        return found[0] if found else None

    def told_of_types(self) -> list[ToldOfType] | None:
        """How many clients told of each topic type that any client told of.

        Returns:
            Counted now on a small site; else as the loaders counted last, None until they have.
        """
        if self._small(*_COUNTED, costly=_COSTLY):
            return self._all("counted_told", ToldOfType, now=self.now())
        return self._all("kept_told", ToldOfType) or None

    def topic_ids(
        self, topic_type: int, *, after: str | None = None, limit: int
    ) -> list[ToldOfTopic]:
        """A page of the topics of a type that clients told of, by id.

        Args:
            after: only larger ids.
        """
        quickly = self._small(*_COUNTED, costly=_COSTLY)
        return self._all(
            "topic_ids",
            ToldOfTopic,
            topic_type=topic_type,
            after=after,
            limit=limit,
            kept=not quickly,
            most=None if quickly else _MOST_STATES,
        )


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
