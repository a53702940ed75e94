"""What every reader says of who is asked, held against the check that asks."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from console.queries import Queries
from loader.store import ResyncStore
from runtime.rules import SiteRules
from runtime.settings import Settings
from tests.loader.world import Tables

#: The shortest time between two moments of PostgreSQL.
TICK = timedelta(microseconds=1)
RULES = SiteRules.of(Settings())
_ALL = 10_000


def check_agrees(
    queries: Queries, store: ResyncStore, tables: Tables, now: datetime
) -> dict[str, int]:
    """Check at a moment, and see that everybody had said so before, of every client.

    Args:
        queries, store: with the rules `RULES`.
        now: any moment.

    Returns:
        What the clients wait for -> how many do; `asked` for those that are asked.
    """
    clients = [client for (client,) in tables.rows("SELECT client_id FROM client")]
    due = {client: queries.due(client, now=now, rules=RULES) for client in clients}
    totals = queries.totals(now=now, rules=RULES)
    conditions = [queries.condition(client, now=now, rules=RULES) for client in clients]
    for row in queries.missing(closed=True, now=now, rules=RULES):
        told = (row.due_reason, row.due_since, row.due_at, row.held_by)
        assert told == ((None,) * 4 if row.closed_at else due[row.client_id])
    dry = store.preview(now=now, limit=_ALL)

    asked = store.check(now=now, limit=_ALL, with_missing=True)

    assert dry == asked
    assert {one.client_id: (one.reason.value, one.since) for one in asked} == {
        client: (one.reason, one.since)
        for client, one in due.items()
        if one is not None and one.held_by is None
    }
    assert totals.due == len(asked)
    marked = tables.rows("SELECT FROM client WHERE duplicate_identity_at IS NOT NULL")
    assert totals.duplicate_identities == len(marked) == conditions.count("duplicate identity")
    assert totals.silent >= conditions.count("silent")
    for one in due.values():
        assert one is None or (one.at is None) == (
            one.held_by in {"open request", "duplicate identity", "silent"}
        )
        assert one is None or one.at is None or (one.at <= now) == (one.held_by is None)
    _asked_when_told(queries, clients, now)
    held = [one.held_by or "asked" for one in due.values() if one is not None]
    return {what: held.count(what) for what in set(held)}


def _asked_when_told(queries: Queries, clients: Iterable[object], now: datetime) -> None:
    """A client that is to be asked at a later moment is asked then, and no sooner."""
    for client in clients:
        one = queries.due(client, now=now, rules=RULES)  # type: ignore[arg-type]
        if one is not None and one.at is not None and one.at > now:
            then = queries.due(client, now=one.at, rules=RULES)  # type: ignore[arg-type]
            before = queries.due(client, now=one.at - TICK, rules=RULES)  # type: ignore[arg-type]
            assert then is not None
            assert before is not None
            assert (then.at, then.held_by) == (one.at, None)
            assert before.held_by is not None
