"""Operators' resync requests: who is asked, over how long, and what an operator is told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from runtime.durations import render_duration
from runtime.options import GivenClient
from schemas.errors import StatesysError, UnknownCollection

if TYPE_CHECKING:
    from loader.store.resyncs import ResyncStore


class Asked(NamedTuple):
    """Requests: client and request id of each, and the time over which they are sent.

    Attributes:
        clients: how many were listed.
        askable: how many of them had no open request.
    """

    at: datetime
    clients: int
    spread: timedelta
    requests: Sequence[tuple[UUID, UUID]]
    askable: int = 1


def ask(
    store: "ResyncStore",
    clients: Sequence[GivenClient],
    *,
    collection: str | None = None,
    dry_run: bool = False,
) -> Asked:
    """Ask clients now: one at once, several one after another.

    Args:
        collection: its members are asked too, as a loader evaluated them last.
        dry_run: only count who would be asked.

    Raises:
        UnknownCollection: there is none of the name.
        StatesysError: a client is not known.
    """
    if len(clients) == 1 and collection is None and not dry_run:
        return Asked(store.now(), 1, timedelta(0), [_request_one(store, clients[0])])
    members = [] if collection is None else _members(store, collection)
    return _request_many(store, [*clients, *members], dry_run=dry_run)


def summary(asked: Asked, *, dry_run: bool) -> str:
    """How many are asked over how long, in words."""
    spread = timedelta(seconds=round(asked.spread.total_seconds()))
    left = asked.clients - asked.askable
    return (
        f"{asked.askable:,} {'would be' if dry_run else 'are'} asked over {render_duration(spread)}"
        + (f"; {left:,} have an open request already" if left else "")
    )


def _members(store: "ResyncStore", collection: str) -> list[UUID]:
    found = store.members(collection)
    if found is None:
        raise UnknownCollection(collection)
    return found


def _request_one(store: "ResyncStore", given: GivenClient) -> tuple[UUID, UUID]:
    client_id = store.client_id_of(given)
    request_id = store.request(client_id, now=store.now())
    if request_id is None:
        raise StatesysError(f"client {client_id} is not known; nothing of it ever arrived")
    return client_id, request_id


def _request_many(store: "ResyncStore", given: Sequence[GivenClient], *, dry_run: bool) -> Asked:
    now, rules = store.now(), store.rules()
    ids = store.client_ids_of(given)
    askable = store.askable(ids)
    spread = rules.resync_check_interval * (askable / rules.resyncs_per_check)
    requests = {} if dry_run else store.request_many(ids, now=now, spread=spread)
    return Asked(now, len(ids), spread, list(requests.items()), askable)
