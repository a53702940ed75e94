"""What `statesys compliance` asks the database."""

from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from console.compliance.state import unknown_state
from console.names import catalogued_states
from console.places import page_of
from console.queries.compliance import (
    ClientInState,
    ComplianceQueries,
    KeptClients,
    StateTotals,
)

#: Clients that a quick search looks at in one statement, and seconds after which it ends.
_AT_ONCE, _PATIENCE = 4_000, 0.1


class Question(NamedTuple):
    """A topic type, and one topic of it; `topic_id` None means all its topics."""

    topic_type: int
    topic_id: str | None


class Counted(NamedTuple):
    """The answer to "how many", at the moment `now` of the database's clock."""

    now: datetime
    totals: StateTotals


class Found(NamedTuple):
    """A page of clients, at the moment `now` of the database's clock.

    Attributes:
        state_ids: None: clients that never told.
        more: whether further clients follow.
        kept: those among which they were found; None: among all.
    """

    now: datetime
    state_ids: Sequence[int] | None
    clients: list[ClientInState]
    more: bool
    kept: KeptClients | None


def count(queries: ComplianceQueries, question: Question) -> Counted:
    """Count the clients in each state."""
    return Counted(queries.now(), queries.state_totals(*question))


def find(
    queries: ComplianceQueries,
    question: Question,
    state: str,
    state_ids: Sequence[int] | None,
    *,
    after: UUID | None,
    limit: int,
    at_once: bool = False,
) -> Found:
    """Find a page of the clients in a state.

    On a large site the clients of a state that few have, or none, are those that had it when the
    loaders counted last, and still have it.

    Args:
        state: as the user wrote it.
        state_ids: what it means; None means the clients that never told.
        after: only clients with a larger id.
        at_once: look at all clients now, however large the site is.

    Raises:
        click.BadParameter: neither the catalogue nor a client has the state.
    """
    totals = None if at_once and state_ids is None else queries.state_totals(*question)
    kept = None
    if totals is not None and not at_once:
        kept = queries.kept_clients(*question, totals, state_ids)
    shown, last = _page(queries, question, state_ids, kept, after=after, limit=limit)
    if not shown and totals is not None:
        require_known(question, state, state_ids, totals)
    as_of = queries.now() if kept is None else kept.as_of
    return Found(as_of, state_ids, shown, last is not None, kept)


def find_quickly(
    queries: ComplianceQueries,
    question: Question,
    state_ids: Sequence[int] | None,
    totals: StateTotals,
    *,
    after: UUID | None,
    limit: int,
) -> tuple[list[ClientInState], UUID | None]:
    """Find clients in a state without looking at all of them: for a page that must come soon.

    Of a million clients only some thousands may be in the state, so that many have to be looked at
    to fill a page. A page of few or none may therefore have a next one.

    Args:
        state_ids: None means the clients that never told.
        totals: of the question.
        after: only clients with a larger id.

    Returns:
        The clients, and behind which client the search goes on; None when all were looked at.
    """
    kept = queries.kept_clients(*question, totals, state_ids)
    if kept is not None:
        shown, last = _page(queries, question, state_ids, kept, after=after, limit=limit)
        return shown, None if last is None else last.client_id
    found: list[ClientInState] = []
    begun = monotonic()
    while True:
        until = queries.client_behind(after, _AT_ONCE)
        found += queries.clients_in_state(
            *question, state_ids, after=after, until=until, limit=limit + 1 - len(found)
        )
        if len(found) > limit:
            return found[:limit], found[limit - 1].client_id
        if until is None or monotonic() - begun > _PATIENCE:
            return found, until
        after = until


def _page(
    queries: ComplianceQueries,
    question: Question,
    state_ids: Sequence[int] | None,
    kept: KeptClients | None,
    *,
    after: UUID | None,
    limit: int,
) -> tuple[list[ClientInState], ClientInState | None]:
    """A page of the clients in a state, among those that are kept, and its last if it goes on."""
    among = None if kept is None else kept.client_ids
    found = queries.clients_in_state(
        *question, state_ids, among=among, after=after, limit=limit + 1
    )
    return page_of(found, limit)


def require_known(
    question: Question, state: str, state_ids: Sequence[int] | None, totals: StateTotals
) -> None:
    """Check that the catalogue or a client has a state.

    Raises:
        click.BadParameter: neither has it.
    """
    known = {*catalogued_states(question.topic_type), *totals.states}
    if state_ids is not None and known.isdisjoint(state_ids):
        raise unknown_state(question.topic_type, state, known)
