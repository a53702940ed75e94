"""What is wrong with queues and dead letters."""

from collections import Counter
from collections.abc import Callable, Iterator

from console.findings.finding import Finding, Severity, are, ending
from console.output import counted
from console.status.gather import BrokerStatus
from schemas.refusal import Reason
from schemas.topology import RESYNC, is_incoming, is_reply_queue, is_reports, shard_of

#: The stages: role, whether it reads a queue, and what waits there.
_STAGES = (
    ("relay", is_reports, "report", "reports"),
    ("loader", is_incoming, "batch", "batches"),
)


def _stages(broker: BrokerStatus) -> Iterator[Finding]:
    """A stage without a worker, or a shard of it, and what waits for one."""
    for role, of_stage, one, many in _STAGES:
        known = [q for q in broker.queues if of_stage(q.name) and q.ready is not None]
        read = {shard_of(queue.name) for queue in known if queue.consumers}
        unread = [queue for queue in known if shard_of(queue.name) not in read]
        if not unread:
            continue
        waiting = sum(queue.ready or 0 for queue in unread)
        shards = sorted({shard_of(queue.name) or 0 for queue in unread})
        where = f" in shard {', '.join(map(str, shards))}" if read else ""
        what = f"{waiting:,} {one if waiting == 1 else many}"
        yield Finding(
            Severity.CRITICAL if waiting else Severity.WARNING,
            f"no {role}",
            waiting,
            f"no {role} is at work{where}"
            + (f", and {what} wait{ending(waiting)} for one" if waiting else ""),
            command=f"statesys {role} run",
        )


def _unread(broker: BrokerStatus) -> Iterator[Finding]:
    """Resync requests that nobody takes; the queues of relays and loaders are told by `_stages`."""
    for queue in broker.queues:
        of_requests = queue.name == RESYNC or is_reply_queue(queue.name)
        if queue.ready and not queue.consumers and of_requests:
            yield Finding(
                Severity.WARNING,
                f"unread {queue.name}",
                queue.ready,
                f"{counted(queue.ready, 'message')} wait{ending(queue.ready)} in {queue.name} "
                f"({queue.carries}), and nobody reads that queue",
            )


def _unavailable(broker: BrokerStatus) -> Iterator[Finding]:
    names = [queue.name for queue in broker.queues if queue.available is False]
    if names:
        one = len(names) == 1
        yield Finding(
            Severity.CRITICAL,
            "queues without a leader",
            len(names),
            f"{counted(len(names), 'queue')} {'has' if one else 'have'} no leader, so "
            f"{'it takes and gives' if one else 'they take and give'} no message: "
            f"{', '.join(names)}; the broker's log says why",
            command="statesys topology check",
        )


def _undeclared(broker: BrokerStatus) -> Iterator[Finding]:
    names = [
        queue.name
        for queue in broker.queues
        if queue.ready is None and not is_reply_queue(queue.name)
    ]
    if names:
        yield Finding(
            Severity.WARNING,
            "missing queues",
            len(names),
            f"{counted(len(names), 'queue')} {are(len(names))} missing: {', '.join(names)}",
            command="statesys topology check",
        )


#: What an operator should do before a replay helps.
_ADVICE = {
    Reason.DATABASE: "see the detail, then replay",
    Reason.NEWER_FORMAT: "upgrade the loaders, then replay",
    Reason.QUARANTINED: "release the client, then replay",
    Reason.DELIVERY_LIMIT: "see why workers did not settle them, then replay",
}


def _dead(broker: BrokerStatus) -> Iterator[Finding]:
    by_reason: Counter[str] = Counter()
    for count in broker.dead:
        by_reason[count.reason] += count.letters
    for reason, letters in by_reason.most_common():
        known = next((one for one in Reason if one.value == reason), None)
        meaning = f" ({known.meaning})" if known else ""
        least = "at least " if broker.letters_cut else ""
        advice = f"; {_ADVICE[known]}" if known in _ADVICE else ""
        yield Finding(
            Severity.NOTICE if known is Reason.QUARANTINED else Severity.WARNING,
            f"dead {reason}",
            letters,
            f"{least}{counted(letters, 'dead letter')} for {reason}{meaning}{advice}",
            page=f"/dead?reason={reason}" if known else "/dead",
            command=f"statesys dead list --reason {reason}" if known else "statesys dead list",
        )


#: The checks, in order of harm.
CHECKS: tuple[Callable[[BrokerStatus], Iterator[Finding]], ...] = (
    _unavailable,
    _stages,
    _undeclared,
    _unread,
    _dead,
)
