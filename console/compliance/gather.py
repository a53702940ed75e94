"""What `statesys compliance` asks the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from console.compliance.state import catalogued_states, unknown_state
from console.queries.compliance import ClientInState, ComplianceQueries, StateTotals


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
    """

    now: datetime
    state_ids: Sequence[int] | None
    clients: list[ClientInState]
    more: bool


def count(queries: ComplianceQueries, question: Question) -> Counted:
    """Count the clients in each state."""
    now, rules = queries.now(), queries.rules()
    return Counted(now, queries.state_totals(*question, now=now, rules=rules))


def find(
    queries: ComplianceQueries,
    question: Question,
    state: str,
    state_ids: Sequence[int] | None,
    *,
    after: UUID | None,
    limit: int,
) -> Found:
    """Find a page of the clients in a state.

    Args:
        state: as the user wrote it.
        state_ids: what it means; None means the clients that never told.
        after: only clients with a larger id.

    Raises:
        click.BadParameter: neither the catalogue nor a client has the state.
    """
    now, rules = queries.now(), queries.rules()
    # One client more than is shown tells whether there are more.
    found = queries.clients_in_state(
        *question, state_ids, after=after, limit=limit + 1, now=now, rules=rules
    )
    if state_ids is not None and not found:
        totals = queries.state_totals(*question, now=now, rules=rules)
        known = {*catalogued_states(question.topic_type), *totals.states}
        if known.isdisjoint(state_ids):
            raise unknown_state(question.topic_type, state, known)
    return Found(now, state_ids, found[:limit], more=len(found) > limit)
