"""What `why` answers about every client of a site, held against its condition and its ledger."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from console.dead.box import Box
from console.dead.search import ClientLetter, contents, letters_of
from console.queries import Queries
from console.why.facts import BrokerFacts, Facts, Topic, facts_of_database
from console.why.verdict import Answer, Verdict, answer
from runtime.broker import Administration
from tests.support.agreement import Site as Rules
from tests.support.agreement import Told

#: The dead letters of each client.
Letters = Mapping[UUID, Sequence[ClientLetter]]
#: The verdicts that go with each condition. What comes before the condition is checked by itself.
_BEFORE = {Verdict.ROLLED_BACK, Verdict.DEAD_LETTER}
ALLOWED = {
    "duplicate identity": {Verdict.DUPLICATE_IDENTITY},
    "gaps": {*_BEFORE, Verdict.MISSING},
    "silent": {*_BEFORE, Verdict.WAITING, Verdict.SILENT},
    "quiet": {*_BEFORE, Verdict.WAITING, Verdict.QUIET},
    "complete": {*_BEFORE, Verdict.WAITING, Verdict.CURRENT},
}
_LEDGER = """
SELECT c.client_id, c.highest_serial, c.reuse_seen_at IS NOT NULL,
       c.accounted = int8multirange(int8range(1, c.highest_serial + 1))
       AND NOT EXISTS (SELECT FROM missing_message_range m
                       WHERE m.client_id = c.client_id AND m.closed_at IS NULL)
FROM client c
"""


class Ledger(NamedTuple):
    """What the tables say of a client."""

    highest_serial: int
    reused: bool
    complete: bool


def look(amqp_url: str) -> Letters:
    """All dead letters by client; they stay where they are."""
    found: defaultdict[UUID, list[ClientLetter]] = defaultdict(list)
    with Administration(amqp_url, name="test") as admin:
        for looked in list(Box(admin).look()):
            # A body is read once: those of hostile clients are large.
            for client in {one.client_id for one in contents(*looked)}:
                found[client] += letters_of([looked], client)
    return found


def check_clients(url: str, letters: Letters, now: datetime) -> Counter[str]:
    """See that the answer about each client is what conditions, rules and tables say.

    Returns:
        How often each verdict was given.

    Raises:
        AssertionError: somebody disagrees.
    """
    found: Counter[str] = Counter()
    with Rules.open(url) as site:
        told = site.told(now)
        rows = site.tables.rows(_LEDGER)
    ledgers = {client: Ledger(*values) for client, *values in rows}
    assert ledgers.keys() == told.conditions.keys()
    with Queries.open(url, name="test") as queries:
        for client, ledger in ledgers.items():
            facts, said = ask(queries, letters, client, now=now)
            _check(facts, said, told, ledger)
            found[said.verdict] += 1
    return found


def ask(
    queries: Queries,
    letters: Letters,
    client: UUID,
    topic: Topic | None = None,
    *,
    now: datetime | None = None,
) -> tuple[Facts, Answer]:
    """Ask about a client at a site whose work queues are empty."""
    facts = facts_of_database(queries, client, topic, now=now)
    facts = replace(facts, broker=BrokerFacts(letters=letters.get(client, ())))
    return facts, answer(facts)


def _check(facts: Facts, said: Answer, told: Told, ledger: Ledger) -> None:
    due, condition = told.of(facts.client_id)
    about = f"{condition}, {due}, {ledger}: {said.sentence}"
    assert facts.condition == condition, about
    assert said.verdict in ALLOWED[condition], about
    assert str(facts.client_id) in said.sentence, about
    if said.verdict in {Verdict.SILENT, Verdict.QUIET, Verdict.CURRENT}:
        assert ledger.complete, about
        if ledger.highest_serial:
            assert f"complete up to serial {ledger.highest_serial}" in said.sentence, about
    if said.verdict is Verdict.ROLLED_BACK:
        # Somebody is asked about it, or there is a request already.
        assert ledger.reused, about
        assert due is not None, about
    if due is not None and due.reason == "serial_reused":
        assert said.verdict in {Verdict.ROLLED_BACK, Verdict.DUPLICATE_IDENTITY}, about
    if said.verdict is Verdict.DEAD_LETTER:
        _check_lost(facts, about)


def _check_lost(facts: Facts, about: str) -> None:
    """A serial of the letter is above all that arrived, or in an open range."""
    letters: Mapping[str, ClientLetter] = {one.letter.name: one for one in facts.lost_letters}
    assert letters, about
    for letter in letters.values():
        assert any(
            last > facts.known.highest_serial
            or any(row.first_serial <= last and first <= row.last_serial for row in facts.ranges)
            for first, last in letter.serials
        ), about
