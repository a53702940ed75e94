"""The verdict: the first rule of a table that fits the facts.

The order, and its reason:

1. *duplicate identity*, *rolled back*: the serials are those of two machines, or of two lives of
   one. What is missing or complete by them says nothing until this is settled.
2. *dead letter*: what is missing is found, with the reason, and a replay may bring it. An unknown
   client may be unknown because all of its reports were refused, so this comes before the next.
3. *unknown client*: nothing further can be said.
4. *missing*: as in `client_condition`, a gap counts before silence: the server knows that there is
   something that it does not have.
5. *no state*, *overtaken*: the ledger explains for certain why there is no state.
6. *waiting*: a client is not called silent or quiet while its reports may lie in our own queues.
7. *silent*, *quiet*: as in `client_condition`.
8. *never reported*, *current*: nothing is the matter, and everything up to a serial arrived.
9. *unexplained*: the history has messages of the topic, and no rule explains why there is no
   state.

With a topic, messages that can only be older than its state do not count as lost or missing
(`Facts.floor`). Without a topic the verdict follows the client's condition, except that rules 1, 2
and 6 may come before it.
"""

import shlex
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from console.dead.view import reason_words
from console.output import age
from console.why.facts import Facts
from console.why.words import (
    asked_words,
    held_words,
    ledger_words,
    missing_words,
    queue_words,
    seen_words,
    serial_words,
    state_words,
    topic_words,
    when,
    who,
)
from runtime.broker.dead_letters import Letter
from runtime.printable import printable
from schemas.refusal import Reason
from schemas.report import STATELESS_TOPICS


class Verdict(StrEnum):
    """Why a client's state is as it is."""

    DUPLICATE_IDENTITY = "duplicate identity"
    ROLLED_BACK = "rolled back"
    DEAD_LETTER = "dead letter"
    UNKNOWN_CLIENT = "unknown client"
    MISSING = "missing"
    NO_STATE = "no state"
    OVERTAKEN = "overtaken"
    WAITING = "waiting"
    SILENT = "silent"
    QUIET = "quiet"
    NEVER_REPORTED = "never reported"
    CURRENT = "current"
    UNEXPLAINED = "unexplained"


class Told(NamedTuple):
    """What a rule says.

    Attributes:
        predicate: of a sentence whose subject is the client.
        advice: what the command is for.
        command: to copy into a shell.
    """

    predicate: str
    advice: str
    command: str


class Rule(NamedTuple):
    """A verdict, when it fits, and what it says."""

    verdict: Verdict
    fits: Callable[[Facts], bool]
    tell: Callable[[Facts], Told]


class Answer(NamedTuple):
    """The verdict in a sentence, with the command that helps."""

    verdict: Verdict
    sentence: str
    command: str


def answer(facts: Facts) -> Answer:
    """Answer by the first rule that fits."""
    rule = next(rule for rule in RULES if rule.fits(facts))
    told = rule.tell(facts)
    sentence = f"{who(facts)} {told.predicate}; {told.advice}: `{told.command}`"
    return Answer(rule.verdict, sentence, told.command)


def _duplicate_identity(facts: Facts) -> Told:
    since = facts.since.duplicate_identity
    assert since is not None
    return Told(
        f"shares its id with another machine, noticed {when(since, facts.at)}: their serials and "
        f"states mix, and it is not asked any more{held_words(facts)}",
        "repair the cloned machine, then ask it",
        _command("resync request", facts),
    )


def _rolled_back(facts: Facts) -> Told:
    since = facts.since.reuse
    assert since is not None
    return Told(
        f"was rolled back, or another machine uses its id: serials that it had used came again "
        f"with other content, last {when(since, facts.at)}; {asked_words(facts, since)}"
        f"{held_words(facts)}",
        *_ask(facts),
    )


def _dead_letter(facts: Facts) -> Told:
    found = facts.lost_letters[-1]
    letter, count = found.letter, len(facts.lost_letters)
    more = "" if count == 1 else f", the newest of {count:,} such letters"
    detail = f" ({printable(letter.detail)})" if letter.detail else ""
    at = letter.refused_at
    refused = "an unknown time" if at is None else when(at, facts.at)
    return Told(
        f"sent messages ({serial_words([*found.serials])}) that lie in a dead letter{more}: "
        f"refused by {letter.stage} at {refused} for {reason_words(letter.reason)}{detail}"
        f"{held_words(facts)}",
        *_mend(facts, letter),
    )


def _mend(facts: Facts, letter: Letter) -> tuple[str, str]:
    """What to do about a dead letter, and the command for it."""
    if letter.reason == Reason.QUARANTINED:
        return "once it is repaired, release it, then replay", _command("client release", facts)
    return "look at it", f"statesys dead show {shlex.quote(letter.name)}"


def _unknown_client(facts: Facts) -> Told:
    found = "no report of it was loaded"
    if facts.broker is not None:
        found += ", and no dead letter names it"
    waiting = queue_words(facts)
    if waiting:
        found += f"; one may be among {waiting}"
    return Told(
        f"was never heard of: {found}", "see whether reports arrive at all", "statesys status"
    )


def _missing(facts: Facts) -> Told:
    since = min(row.detected_at for row in facts.lacking)
    waiting = queue_words(facts)
    among = f"; some may be among {waiting}" if waiting else ""
    may_be = "" if facts.topic is None else ", among which may be a newer state"
    return Told(
        f"lacks {missing_words(facts)}{may_be}; {asked_words(facts, since)}{among}"
        f"{held_words(facts)}",
        *_ask(facts),
    )


def _no_state(facts: Facts) -> Told:
    assert facts.topic is not None
    return Told(
        f"has no state of {topic_words(facts.topic)}: such messages are signs of life and heads "
        f"of answers, kept in the history only; {seen_words(facts)}",
        "see its last messages",
        _command("trace", facts),
    )


def _overtaken(facts: Facts) -> Told:
    assert facts.topic is not None
    message, below = facts.messages[0], facts.known.resynced_below
    answered = next(
        (one.closed_at for one in facts.requests if one.first_serial == below and one.closed_at),
        None,
    )
    done = "" if answered is None else f", completed {when(answered, facts.at)},"
    return Told(
        f"no longer has {topic_words(facts.topic)}: it reported it last with serial "
        f"{message.serial}, loaded {when(message.loaded_at, facts.at)}, and a resync{done} brought "
        f"its whole state from serial {below} on without it",
        "see that message",
        _command("trace", facts, message.serial),
    )


def _waiting(facts: Facts) -> Told:
    front = "nothing was loaded yet"
    if facts.front is not None:
        front = f"the database has what clients sent until about {when(facts.front, facts.at)}"
    return Told(
        f"may have sent reports that wait behind or among {queue_words(facts)}: {front}, and it "
        f"was {seen_words(facts)}, {ledger_words(facts)}; whether it sent one cannot be seen"
        f"{held_words(facts)}",
        "see who works on the queues",
        "statesys status",
    )


def _silent(facts: Facts) -> Told:
    since = facts.since.silent
    assert since is not None
    return Told(
        f"is silent since {when(since, facts.at)}: three requests in a row were left unanswered "
        f"and nothing came after; {seen_words(facts)}, {ledger_words(facts)}{held_words(facts)}",
        "see that the machine runs, then ask it",
        _command("resync request", facts),
    )


def _quiet(facts: Facts) -> Told:
    since = facts.since.quiet
    assert since is not None
    return Told(
        f"is quiet since {when(since, facts.at)}: a report is expected every "
        f"{age(facts.heartbeat_interval)}, and it was {seen_words(facts)}, {ledger_words(facts)}; "
        f"what it did not send yet cannot be seen{held_words(facts)}",
        "see that the machine runs, then ask it",
        _command("resync request", facts),
    )


def _never_reported(facts: Facts) -> Told:
    assert facts.topic is not None
    return Told(
        f"never reported {topic_words(facts.topic)}: neither its states nor the history have it; "
        f"{seen_words(facts)}, {ledger_words(facts)}",
        "see what it reported",
        _command("states", facts),
    )


def _current(facts: Facts) -> Told:
    unchanged = _NOTHING_CHANGED if facts.known.highest_serial else ""
    if facts.topic is None:
        last = facts.changes.last_change
        changed = "it has no states"
        if last is not None:
            changed = f"its states last changed {when(last, facts.at)}{unchanged}"
        seen = f"{seen_words(facts)}, {ledger_words(facts)}"
        return Told(f"is current: {seen}; {changed}", "see them", _command("states", facts))
    newest = max(facts.states, key=lambda row: row.message_time)
    more = "" if len(facts.states) == 1 else f" (the newest of {len(facts.states):,} states)"
    if newest.serial is None:
        unchanged, command = "", _command("states", facts)
    else:
        command = _command("trace", facts, newest.serial)
    return Told(
        f"is current on {topic_words(facts.topic)}: {state_words(newest, facts.at)}{more}; "
        f"{seen_words(facts)}, {ledger_words(facts)}{unchanged}",
        "see the message",
        command,
    )


#: What an old last change means, said in every answer because people take it for a fault.
_NOTHING_CHANGED = ", and with a complete ledger that means that nothing changed since"


def _unexplained(facts: Facts) -> Told:
    assert facts.topic is not None
    if all(message.reused for message in facts.messages):
        found = "only messages whose serials were used before, which change no state"
    else:
        found = "messages that should have become a state; this should not happen"
    return Told(
        f"has no state of {topic_words(facts.topic)}, but the history has {found}",
        "see its last messages",
        _command("trace", facts),
    )


def _is_overtaken(facts: Facts) -> bool:
    # Serials come first in the list, so the first message has the highest one.
    return not facts.states and any(
        message.serial is not None and message.serial < facts.known.resynced_below
        for message in facts.messages[:1]
    )


def _may_wait(facts: Facts) -> bool:
    """Whether a report is overdue, and one that was sent in time would still be in a queue."""
    expected = (facts.known.last_seen or facts.known.first_seen) + facts.heartbeat_interval
    behind = facts.front is None or expected >= facts.front
    return expected <= facts.at and behind and bool(queue_words(facts))


def _never_came(facts: Facts) -> bool:
    return facts.topic is not None and not facts.states and not facts.messages


#: The first that fits wins; the reason of the order stands above.
RULES = (
    Rule(
        Verdict.DUPLICATE_IDENTITY,
        lambda facts: facts.since.duplicate_identity is not None,
        _duplicate_identity,
    ),
    Rule(Verdict.ROLLED_BACK, lambda facts: facts.since.reuse is not None, _rolled_back),
    Rule(Verdict.DEAD_LETTER, lambda facts: bool(facts.lost_letters), _dead_letter),
    Rule(Verdict.UNKNOWN_CLIENT, lambda facts: facts.client is None, _unknown_client),
    Rule(Verdict.MISSING, lambda facts: bool(facts.lacking), _missing),
    Rule(
        Verdict.NO_STATE,
        lambda facts: facts.topic is not None and facts.topic.topic_type in STATELESS_TOPICS,
        _no_state,
    ),
    Rule(Verdict.OVERTAKEN, _is_overtaken, _overtaken),
    Rule(Verdict.WAITING, _may_wait, _waiting),
    Rule(Verdict.SILENT, lambda facts: facts.since.silent is not None, _silent),
    Rule(Verdict.QUIET, lambda facts: facts.since.quiet is not None, _quiet),
    Rule(Verdict.NEVER_REPORTED, _never_came, _never_reported),
    Rule(Verdict.CURRENT, lambda facts: facts.topic is None or bool(facts.states), _current),
    Rule(Verdict.UNEXPLAINED, lambda _facts: True, _unexplained),
)


def _command(command: str, facts: Facts, *more: object) -> str:
    """A command about the client, by its id: names are not unique, and may not be safe to copy."""
    return " ".join(["statesys", command, str(facts.client_id), *map(str, more)])


def _ask(facts: Facts) -> tuple[str, str]:
    """What helps a client that lacks something, and what for."""
    held_by = None if facts.due is None else facts.due.held_by
    if held_by == "open request":
        return "see its requests", _command("trace", facts)
    if held_by in (None, "too young"):
        return "see when it is asked", _command("gaps", facts)
    return "ask it now", _command("resync request", facts)
