"""Forward cycles, heartbeats and answers of many clients, each function in one transaction.

When a function returns, its changes are committed to the store. Nothing is published here:
`producers.publisher` reads the reports from the outbox.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import structlog

from producers.client import Client, Rendered, answer, forward, heartbeat
from producers.faults import Publish, chosen, happen
from producers.hostile import MALFORMED, strikes
from producers.hostile.client_faults import CLIENT_FAULTS, Cycle
from producers.hostile.malformed import malformed
from producers.hostile.store_faults import STORE_FAULTS
from producers.plan import Plan
from producers.scenarios import away, recorded
from producers.seeded import draw
from producers.store import Store
from producers.store.changes import Changes
from schemas.errors import Refused
from schemas.report import StateMessage
from schemas.resync import parse_request

#: Forward cycles between the backup of a client's store and the rollback to it.
BACKUP_AGE = 2
#: Above every serial; keeps the seeded random numbers of two lives apart.
_LIVES = 2**64

_log = structlog.get_logger()


def forward_cycles(store: Store, plan: Plan, first: int, end: int, now: datetime) -> None:
    """Run one forward cycle of some clients, faults included.

    Args:
        store: of the fleet.
        plan: message and fault rates.
        first, end: range of client numbers, `end` excluded.
        now: by the clients' clocks, timezone-aware.
    """
    with store.transaction():
        if plan.hostile:
            _inject_store_faults(store, plan, first, end, now)
        waiting = store.unsent_between(first, end)
        with store.changes(now) as changes:
            for client, number in store.clients_between(first, end):
                cycle, client_faults = _cycle(plan, client, number, now)
                if cycle.present:
                    unsent = waiting.get(client.number, ())
                    after = _forward(changes, plan, client, cycle, unsent)
                    for client_fault in client_faults:
                        changes.inject(client_fault, client, client.last_serial + 1, after)
                else:
                    changes.record(client, cycle.waves[0])
                changes.count_cycle(client)


def forward_heartbeats(store: Store, numbers: Iterable[int], now: datetime) -> None:
    """Forward a heartbeat of some clients behind their unsent messages, without faults.

    Args:
        store: of the fleet.
        numbers: client numbers, ascending.
        now: by the clients' clocks, timezone-aware.
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
    """Answer resync requests.

    Malformed requests, those of other fleets and those already answered are logged and skipped.
    The answers are committed together before the function returns, so the caller may then ack.

    Args:
        store: of the fleet.
        bodies: bodies of the deliveries from the reply queue.
        now: by the clients' clocks, timezone-aware.
    """
    with store.transaction():
        outcomes = [_answered(store, body, now) for body in bodies]
    for outcome in outcomes:
        # Logged after the commit, so that the log only tells of saved answers.
        _log.log(outcome.level, outcome.event, **outcome.keys)


class _Outcome(NamedTuple):
    """The log line of a request: event, keys, level."""

    event: str
    keys: Mapping[str, object]
    level: int = logging.INFO


def _answered(store: Store, body: bytes, now: datetime) -> _Outcome:
    try:
        request = parse_request(body)
        who = {"client_id": str(request.client_id), "request_id": str(request.request_id)}
        among = draw(store.seed, "asked", str(request.request_id))
        client = store.client(request.client_id, among)
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


def _inject_store_faults(store: Store, plan: Plan, first: int, end: int, now: datetime) -> None:
    """Apply the store faults of some clients, before their forward cycle."""
    with store.damage(now) as damage:
        for client, cycle in list(store.clients_between(first, end)):
            damaged = client

            def happens(kind: str, at: int, number: int = client.number) -> bool:
                return strikes(plan.hostile, kind, plan.seed, number, at)

            for kind, store_fault in STORE_FAULTS.items():
                # A client becomes a twin in its first cycle only, so that its id never changes
                # later. Client 0 has no client before it.
                if happens(kind, cycle) and (kind != "twin" or cycle == 0 < client.number):
                    random_bits = draw(plan.seed, kind, client.number, cycle)
                    damaged = store_fault(damage, damaged, random_bits)
            # The seed already tells whether a rollback follows `BACKUP_AGE` cycles later.
            if happens("rollback", cycle + BACKUP_AGE):
                damage.back_up(damaged)


def _cycle(plan: Plan, client: Client, number: int, now: datetime) -> tuple[Cycle, list[str]]:
    """Make a client's forward cycle; returns it with the names of its client faults."""
    news = recorded(plan.seed, client.number, number, plan.messages, now)
    present = not away(plan.seed, client.number, number)
    cycle = Cycle(plan.seed, client.number, number, plan.messages, now, (news,), present)
    client_faults = [
        kind
        for kind in CLIENT_FAULTS
        if plan.hostile and strikes(plan.hostile, kind, plan.seed, client.number, number)
    ]
    for kind in client_faults:
        random_bits = draw(plan.seed, kind, client.number, number)
        cycle = CLIENT_FAULTS[kind](cycle, random_bits)._replace(present=True)
    return cycle, client_faults


def _forward(
    changes: Changes, plan: Plan, client: Client, cycle: Cycle, unsent: Iterable[StateMessage]
) -> int:
    """Forward the waves of a cycle one after another; returns the last serial."""
    for wave in cycle.waves:
        for report in forward(
            client,
            _latest(unsent, wave),
            cycle.now,
            max_messages=cycle.max_messages,
            max_bytes=cycle.max_bytes,
            step=cycle.step,
        ):
            _send(changes, plan, client, report)
            client = client._replace(last_serial=report.last_serial)
        unsent = ()
    return client.last_serial


def _latest(*recorded: Iterable[StateMessage]) -> Iterable[StateMessage]:
    """Keep the last message of each topic, as the store does."""
    latest: dict[tuple[int, str, str], StateMessage] = {}
    for messages in recorded:
        for message in messages:
            latest.pop(message.topic, None)
            latest[message.topic] = message
    return latest.values()


def _send(changes: Changes, plan: Plan, client: Client, report: Rendered) -> None:
    serial, life = report.first_serial, client.life
    fault = chosen(plan.faults, plan.seed, client.number, serial, life=life)
    if fault is not None:
        publishes = happen(fault, report.body, plan.seed, client.number, serial, life=life)
        changes.forward(client, report, publishes, fault)
    elif strikes(plan.hostile, MALFORMED, plan.seed, client.number, serial + _LIVES * life):
        number = draw(plan.seed, MALFORMED, client.number, serial, life)
        body, reason = malformed(report.body, number)
        changes.forward(client, report, [Publish(body)], f"{MALFORMED}.{reason.value}")
    else:
        changes.forward(client, report)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Group ascending numbers into half-open ranges, so that one query reads each range."""
    first = end = None
    for number in numbers:
        if first is None or number != end:
            if first is not None and end is not None:
                yield first, end
            first = number
        end = number + 1
    if first is not None and end is not None:
        yield first, end
