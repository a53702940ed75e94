"""A short drain with kills; `make kills` runs a long one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.drain import DrainSite, compare, drain_with_kills, ending, reports_of
from tests.support.processes import batches_of, drain, fill, messages_in
from tests.support.world import Tables, message, open_tables, report

MESSAGES, KILLS, SEED = 18_000, 5, 2

#: A change of the tables, and what the comparison must report.
CHANGES = {
    "UPDATE client SET highest_serial = 10": "clients",
    "UPDATE client SET duplicates = 0": "fewer duplicates",
    "UPDATE missing_message_range SET last_serial = 3": "open ranges",
    "UPDATE current_state SET details = 'x'": "current state",
    "DELETE FROM state_message WHERE serial = 1": "history",
    "INSERT INTO state_message SELECT * FROM state_message WHERE serial = 1": "stored twice",
}

# Seconds. Two drains and seven starts, on a busy machine.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def tables(database_url: str) -> Iterator[Tables]:
    with open_tables(database_url) as tables:
        yield tables


def test_kills_in_one_drain_change_nothing(
    amqp_url: str, database_url: str, tables: Tables, tmp_path: Path
) -> None:
    reports = reports_of(MESSAGES, seed=SEED)
    assert len(messages_in(reports)) >= MESSAGES
    site = DrainSite(amqp_url, database_url, tables, tmp_path, batches_of(reports, size=3))
    outcome = drain_with_kills(site, reports, kills=KILLS, seed=SEED)
    assert not outcome.problems
    assert [kill.returned > 0 for kill in outcome.kills] == [True] * KILLS


def test_every_difference_is_seen(amqp_url: str, database_url: str, tables: Tables) -> None:
    one = report(message(1), message(5))
    fill(amqp_url, batches_of([one, one]))
    drain(amqp_url, database_url)
    before = ending(tables)
    assert compare(before, ending(tables)) == []
    for change, seen in CHANGES.items():
        with tables.connection.transaction(force_rollback=True):
            tables.connection.execute(change)
            (problem,) = compare(before, ending(tables))
        assert problem.startswith(seen)
