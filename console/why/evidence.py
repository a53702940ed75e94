"""What supports a verdict: as data for a program, and as rows for a person."""

from typing import Any

from console.due import due_words
from console.names import state_name, topic_name
from console.output import moment
from console.queries.rows import StateRow
from console.why.facts import Facts
from console.why.verdict import Answer
from console.why.words import queue_words, when


def answer_as_data(facts: Facts, found: Answer) -> dict[str, Any]:
    """The verdict and what supports it, for `--json`."""
    return {
        "as_of": facts.at,
        "client_id": facts.client_id,
        "name": None if facts.client is None else facts.client.name,
        "verdict": found.verdict,
        "sentence": found.sentence,
        "command": found.command,
        "broker_read": facts.broker is not None,
        "evidence": evidence(facts),
    }


def evidence(facts: Facts) -> dict[str, Any]:
    """The facts behind a verdict, for `--json`; what could not be read is null."""
    client, broker = facts.client, facts.broker
    return {
        "condition": facts.condition,
        "first_seen": None if client is None else client.first_seen,
        "last_seen": None if client is None else client.last_seen,
        "highest_serial": None if client is None else client.highest_serial,
        "resynced_below": None if client is None else client.resynced_below,
        "since": facts.since,
        "due": facts.due,
        "missing": [
            {"first_serial": r.first_serial, "last_serial": r.last_serial, "since": r.detected_at}
            for r in facts.ranges
        ],
        "requests": facts.requests,
        "current_states": facts.changes.states,
        "last_change": facts.changes.last_change,
        "topic": _topic(facts),
        "loaded_until": facts.front,
        "queues": None if broker is None else dict(broker.queues),
        "dead_letters": None
        if broker is None
        else [
            {**one.letter.as_data(), "serials": one.serials, "lost": one in facts.lost_letters}
            for one in broker.letters
        ],
        "dead_letters_cut": broker is not None and broker.letters_cut,
    }


def evidence_rows(facts: Facts) -> list[tuple[str, object]]:
    """The facts behind a verdict, for a table."""
    client, broker = facts.client, facts.broker
    rows: list[tuple[str, object]] = [("as of", f"{moment(facts.at)} UTC")]
    if client is not None:
        rows += [
            ("condition", facts.condition),
            ("first seen", when(client.first_seen, facts.at)),
            ("last seen", client.last_seen and when(client.last_seen, facts.at)),
            ("highest serial", str(client.highest_serial)),
            ("current states", facts.changes.states),
            (
                "last change",
                facts.changes.last_change and when(facts.changes.last_change, facts.at),
            ),
        ]
    rows += [
        ("missing", f"{r.first_serial}-{r.last_serial} since {when(r.detected_at, facts.at)}")
        for r in facts.ranges
    ]
    if facts.due is not None:
        words = due_words(facts.due.at, facts.due.held_by, facts.at)
        rows.append(("resync due", f"{words}: {facts.due.reason}"))
    for row in facts.states:
        rows.append(("state", f"{row.topic_type} {row.topic_id} {row.user_sid} {_state(row)}"))
    if broker is not None:
        rows += [
            ("dead letter", f"{one.letter.name} {one.letter.reason}") for one in broker.letters
        ]
        rows.append(("waiting", queue_words(facts) or "nothing in the work queues"))
    if facts.front is not None:
        rows.append(("loaded until", when(facts.front, facts.at)))
    return rows


def _topic(facts: Facts) -> dict[str, Any] | None:
    if facts.topic is None:
        return None
    return {
        "topic_type": facts.topic.topic_type,
        "topic_name": topic_name(facts.topic.topic_type),
        "topic_id": facts.topic.topic_id,
        "states": [
            {**row._asdict(), "state_name": state_name(row.topic_type, row.state_id)}
            for row in facts.states
        ],
        "messages": facts.messages,
    }


def _state(row: StateRow) -> str:
    serial = "-" if row.serial is None else row.serial
    return f"{row.state_id} {state_name(row.topic_type, row.state_id)}, serial {serial}"
