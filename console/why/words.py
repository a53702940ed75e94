"""Phrases of an answer: who, which state, when, and what was asked."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from console.due import due_words
from console.names import state_name, topic_name
from console.output import age, counted, moment
from console.queries.rows import StateRow
from console.why.facts import Facts, Topic
from runtime.printable import printable
from schemas.topology import is_reports

#: Ranges that a sentence names; the evidence has all.
_NAMED = 3


def when(at: datetime, now: datetime) -> str:
    """A moment with its age: `2026-03-01 08:00:00 UTC (3 d 4 h ago)`."""
    passed = now - at
    ago = f"{age(passed)} ago" if passed >= timedelta(0) else f"in {age(-passed)}"
    return f"{moment(at)} UTC ({ago})"


def who(facts: Facts) -> str:
    """The client by name and id; by its id alone where no name is known."""
    name = printable(facts.client.name) if facts.client is not None else ""
    return f"{name} ({facts.client_id})" if name else f"Client {facts.client_id}"


def topic_words(topic: Topic) -> str:
    """The topic with the name of its type."""
    name = topic_name(topic.topic_type)
    words = f"topic {topic.topic_type}"
    if name != str(topic.topic_type):
        words += f" {name}"
    return words if topic.topic_id is None else f"{words} {printable(topic.topic_id)}"


def state_words(row: StateRow, now: datetime) -> str:
    """A current state: its number and name, since when it is, and its serial."""
    name = state_name(row.topic_type, row.state_id)
    named = f"state {row.state_id}" + ("" if name == str(row.state_id) else f" {name!r}")
    serial = "without a serial" if row.serial is None else f"serial {row.serial}"
    return f"{named} since {when(row.message_time, now)}, {serial}"


def held_words(facts: Facts) -> str:
    """What the server has of the topic; empty when the question is about the client."""
    if facts.topic is None:
        return ""
    if not facts.states:
        return f"; the server has no state of {topic_words(facts.topic)}"
    newest = max(facts.states, key=lambda row: row.message_time)
    of = f"of {topic_words(facts.topic)}"
    more = "" if len(facts.states) == 1 else f", the newest of {len(facts.states):,} states"
    return f"; the server has {of} {state_words(newest, facts.at)}{more}"


def ledger_words(facts: Facts) -> str:
    """Up to which serial everything arrived."""
    highest = facts.known.highest_serial
    if not highest:
        return "it numbers no messages, so the server cannot tell whether one is missing"
    if not facts.ranges:
        return f"complete up to serial {highest}"
    return f"complete from serial {facts.floor} up to serial {highest}"


def seen_words(facts: Facts) -> str:
    """When the client was last heard of."""
    seen = facts.known.last_seen
    return "never seen" if seen is None else f"last seen {when(seen, facts.at)}"


def missing_words(facts: Facts) -> str:
    """How many serials are missing, which, and since when."""
    rows = facts.lacking
    serials = sum(row.last_serial - row.first_serial + 1 for row in rows)
    named = serial_words([(row.first_serial, row.last_serial) for row in rows])
    since = min(row.detected_at for row in rows)
    return f"{counted(serials, 'message')} ({named}) since {when(since, facts.at)}"


def serial_words(ranges: Sequence[tuple[int, int]]) -> str:
    """The first ranges, and how many more there are: `serials 1-3, 5, 7 and 2 more ranges`.

    Args:
        ranges: first and last serial of each, at least one range.
    """
    named = ", ".join(
        str(first) if first == last else f"{first}-{last}" for first, last in ranges[:_NAMED]
    )
    more = len(ranges) - _NAMED
    return f"serials {named}" + (f" and {counted(more, 'more range')}" if more > 0 else "")


def asked_words(facts: Facts, cause_since: datetime) -> str:
    """When the client was asked because of a cause, and when it is to be asked.

    Args:
        cause_since: requests that were closed before it do not count.
    """
    request = next((one for one in facts.requests if one.requested_at is not None), None)
    parts = []
    if request is not None and request.requested_at is not None:
        if request.closed_at is None and request.sent_at is None:
            parts.append(f"to be asked {when(request.requested_at, facts.at)}")
        elif request.closed_at is None:
            parts.append(f"asked {when(request.requested_at, facts.at)}, no answer yet")
        elif request.requested_at >= cause_since:
            how = request.closed_how
            parts.append(f"asked {when(request.requested_at, facts.at)}, {how}")
    if not parts:
        parts.append("not asked yet")
    due = facts.due
    if due is not None and due.held_by != "open request":
        words = due_words(due.at, due.held_by, facts.at)
        parts.append(words if words.startswith("not asked") else f"to be asked {words}")
    return ", ".join(parts)


def queue_words(facts: Facts) -> str:
    """What waits in the fullest work queue; empty when nothing waits or nobody could look."""
    queues = facts.broker.queues if facts.broker is not None else {}
    name = max(queues, key=lambda one: queues[one].ready, default=None)
    if name is None or not queues[name].ready:
        return ""
    depth = queues[name]
    what = "report" if is_reports(name) else "batch"
    waiting = f"{depth.ready:,} {what if depth.ready == 1 else _PLURAL[what]}"
    taken = "" if depth.consumers else ", which nobody takes"
    return f"about {waiting} in queue {name}{taken}"


_PLURAL = {"report": "reports", "batch": "batches"}
