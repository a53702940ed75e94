"""`why` about every client of a hostile fleet: at its worst, later, and when all is settled."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from console.queries import Queries
from console.why.facts import Topic
from console.why.verdict import Verdict
from lab.servers import Servers
from producers.store import StoreReader
from tests.chaos.copying import copy_rules
from tests.chaos.test_hostile_fleet import RATES, living
from tests.support.answers import ask, check_clients, look
from tests.support.waiting import wait_until
from tests.support.world import open_tables

# Seconds.
pytestmark = pytest.mark.timeout(300)
_PATIENCE = 150.0
#: How long after a moment it is asked again, with nothing new: requests that were sent stay
#: unanswered, clients become quiet.
_LATER = (timedelta(0), timedelta(minutes=1), timedelta(hours=1), timedelta(days=3))
_AT_WORST = {"missing", "dead letter", "rolled back", "current", "quiet"}
#: Questions about states, some milliseconds each.
_ASKED = 60
#: Topics of the history that are no current states.
_REMOVED = """
SELECT DISTINCT h.client_id, h.topic_type, h.topic_id
FROM state_message h
WHERE NOT h.reused AND h.topic_type NOT IN (700, 701) AND NOT EXISTS (
    SELECT FROM current_state s
    WHERE (s.client_id, s.topic_type, s.topic_id) = (h.client_id, h.topic_type, h.topic_id))
"""


@pytest.fixture
def servers(amqp_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Servers:
    monkeypatch.setenv("STATESYS_REUSE_DATE_TOLERANCE", "1s")
    return Servers(amqp_url, database_url, None)


def test_every_client_of_a_hostile_fleet_has_the_verdict_of_its_condition_and_ledger(
    servers: Servers, second_database_url: str, tmp_path: Path
) -> None:
    told: Counter[str] = Counter()

    def all_told() -> bool:
        moment = copy_rules(servers.database_url, second_database_url)
        letters = look(servers.amqp_url)
        for later in _LATER:
            told.update(check_clients(second_database_url, letters, moment + later))
        return told.keys() >= _AT_WORST

    def at_worst() -> None:
        wait_until(all_told, timeout=_PATIENCE, what=f"all of {_AT_WORST}")

    options = ("--clients", "30", "--cycles", "8", "--messages", "3", "--seed", "42")
    with living(tmp_path, servers, RATES, *options, at_worst=at_worst) as site:
        tally = site.verified()
        moment = copy_rules(servers.database_url, second_database_url)
        letters = look(servers.amqp_url)
        settled = check_clients(second_database_url, letters, moment)
        assert settled.keys() <= {"current", "dead letter", "duplicate identity"}

        exempt = {sentence[:36] for sentence in tally.exempt}
        with StoreReader(site.fleet) as store:
            own = [
                (s.client_id, Topic(s.topic_type, s.topic_id), s.digest)
                for s in store.states()
                if str(s.client_id) not in exempt
            ]
        # Some clients have thousands of states: ask about some of all clients'.
        Random(42).shuffle(own)
        with open_tables(servers.database_url) as tables:
            removed = [row for row in tables.rows(_REMOVED) if str(row[0]) not in exempt]
        with Queries.open(servers.database_url, name="test") as queries:
            # What the client itself has is current here, too.
            for client, topic, digest in own[:_ASKED]:
                facts, said = ask(queries, letters, client, topic)
                assert digest in {row.digest for row in facts.states}
                assert said.verdict in {Verdict.CURRENT, Verdict.DEAD_LETTER}, said.sentence
            # And what it no longer has was overtaken.
            for client, *removed_topic in removed[:_ASKED]:
                _, said = ask(queries, letters, client, Topic(*removed_topic))
                assert said.verdict in {Verdict.OVERTAKEN, Verdict.DEAD_LETTER}, said.sentence
    assert own
    assert removed
