"""What clients do, one transaction for many of them: store and client meet here.

Everything is in the store when a function returns, and nothing of it has been published: that is
the publisher's part, which reads the outbox.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import structlog

from producers.client import Client, Rendered, answer, forward, heartbeat
from producers.faults import chosen, happen
from producers.plan import Plan
from producers.scenarios import away, recorded
from producers.store import Store
from producers.store.changes import Changes
from schemas.errors import Refused
from schemas.report import StateMessage
from schemas.resync import parse_request

_log = structlog.get_logger()


def live(store: Store, plan: Plan, first: int, end: int, now: datetime) -> None:
    """One forward cycle of the clients numbered `first` to before `end`, faults included.

    Args:
        now: by the clients' clocks, aware.
    """
    waiting = store.unsent_between(first, end)
    with store.changes(now) as changes:
        for client, cycle in store.clients_between(first, end):
            news = recorded(plan.seed, client.number, cycle, plan.messages, now)
            if away(plan.seed, client.number, cycle):
                changes.record(client, news)
            else:
                for report in forward(client, _latest(waiting.get(client.number, ()), news), now):
                    _send(changes, plan, client, report)
            changes.lived(client)


def beat(store: Store, numbers: Iterable[int], now: datetime) -> None:
    """A heartbeat of some clients, together with what they have not sent; without faults.

    Args:
        numbers: of the clients, ascending.
        now: by the clients' clocks, aware.
    """
    with store.changes(now) as changes:
        for first, end in _runs(numbers):
            waiting = store.unsent_between(first, end)
            for client, _cycle in store.clients_between(first, end):
                for report in forward(
                    client, [*waiting.get(client.number, ()), heartbeat(now)], now
                ):
                    changes.forward(client, report)


def answer_requests(store: Store, bodies: Iterable[bytes], now: datetime) -> None:
    """Answer resync requests, except what is none, is not ours, or was answered already.

    Returns when the answers are committed, all at once: only then may the requests be acked.

    Args:
        bodies: as they came from the reply queue.
        now: by the clients' clocks, aware.
    """
    with store.together():
        outcomes = [_answered(store, body, now) for body in bodies]
    for outcome in outcomes:
        # Not before the commit: what is in the log has happened.
        _log.log(outcome.level, outcome.event, **outcome.keys)


class _Outcome(NamedTuple):
    """What became of a request, for the log."""

    event: str
    keys: Mapping[str, object]
    level: int = logging.INFO


def _answered(store: Store, body: bytes, now: datetime) -> _Outcome:
    try:
        request = parse_request(body)
        who = {"client_id": str(request.client_id), "request_id": str(request.request_id)}
        client = store.client(request.client_id)
        if client is None:
            return _Outcome("client.request_unknown", who, logging.WARNING)
        if store.was_answered(client, request.request_id):
            return _Outcome("client.request_repeated", who)
        reports = answer(client, request, store.states_of(client), now)
    except Refused as error:
        why = {"reason": error.reason.value, "detail": error.detail}
        return _Outcome("client.request_refused", why, logging.WARNING)
    with store.changes(now) as changes:
        changes.answer(client, request.request_id, reports)
    block = {"first_serial": reports[0].first_serial, "last_serial": reports[-1].last_serial}
    return _Outcome("client.request_answered", {**who, "reason": request.reason.value, **block})


def _latest(*recorded: Iterable[StateMessage]) -> Iterable[StateMessage]:
    """The store keeps one state for a topic: what was not sent yet is replaced by what is newer."""
    latest: dict[tuple[int, str, str], StateMessage] = {}
    for messages in recorded:
        for message in messages:
            latest.pop(message.topic, None)
            latest[message.topic] = message
    return latest.values()


def _send(changes: Changes, plan: Plan, client: Client, report: Rendered) -> None:
    serial = report.first_serial
    fault = chosen(plan.faults, plan.seed, client.number, serial)
    if fault is None:
        changes.forward(client, report)
    else:
        publishes = happen(fault, report.body, plan.seed, client.number, serial)
        changes.forward(client, report, publishes, fault)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as half-open runs, so that neighbours are read together."""
    first = end = None
    for number in numbers:
        if first is None or number != end:
            if first is not None and end is not None:
                yield first, end
            first = number
        end = number + 1
    if first is not None and end is not None:
        yield first, end
