"""A batch that kills its worker repeatedly uses up only its own delivery limit."""

import signal
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from runtime.broker import Administration
from runtime.broker.dead_letters import read_dead_letter
from schemas.topology import DEAD, INCOMING, QUEUES
from tests.support.brokers import vhost
from tests.support.management import Management
from tests.support.processes import PATIENCE, Program, batch, fill, ready, return_all, take_all
from tests.support.waiting import wait_until
from tests.support.world import Tables, message, report

#: Returns after which the broker gives up, instead of 1,000.
LIMIT = 2


def limit_deliveries(management: Management, amqp_url: str) -> None:
    """Set a policy, which applies because it is below the argument that workers declare."""
    policy = {
        "pattern": r"^statesys\.incoming",
        "definition": {"delivery-limit": LIMIT},
        "apply-to": "queues",
    }
    management.call("PUT", "policies", vhost(amqp_url), "limit", body=policy)
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)


def neighbours(number: int) -> list[UUID]:
    """Two clients whose batches lie in one queue with a poison."""
    return [UUID(int=10 * number + side, version=4) for side in (1, 2)]


def dead_lettered(amqp_url: str, count: int) -> bool:
    """Whether `statesys.dead` has exactly `count` dead letters."""
    return ready(amqp_url, DEAD) == count


@pytest.mark.usefixtures("held_lock")
def test_who_kills_again_and_again_dies_alone(
    amqp_url: str,
    database_url: str,
    management: Management,
    tables: Tables,
    tmp_path: Path,
) -> None:
    """One poison in each queue, and neighbours that one more return would make dead letters.

    A worker takes the poison, waits for the locked client, and is killed while it holds the
    poison. This repeats until the broker gives the poison up; the next worker reaches the next one.
    The neighbours have been returned as often as the limit allows. They are loaded only if no
    worker held them when it was killed. Each poison needs its full number of returns only if the
    returns of another one did not count for it.
    """
    run_loader = partial(
        Program, tmp_path / "log", "loader", "run", amqp_url=amqp_url, database_url=database_url
    )
    limit_deliveries(management, amqp_url)
    poisons = []
    for number, queue in enumerate(INCOMING.values()):
        innocent = [batch(report(message(1), client=client)) for client in neighbours(number)]
        fill(amqp_url, innocent, queue=queue)
        for _ in range(LIMIT):
            return_all(amqp_url, queue)
        poisons.append(batch(report(message(1 + number))))
        fresh = batch(report(message(2), client=neighbours(number)[0]))
        fill(amqp_url, [poisons[-1], fresh], queue=queue)

    for death in range(1, len(poisons) * (LIMIT + 1) + 1):
        with run_loader() as loader:
            wait_until(tables.chunk_waits, timeout=PATIENCE, what=f"death {death}")
            loader.send(signal.SIGKILL)
            assert loader.end() == -signal.SIGKILL
        tables.end_waiting_chunks()
        wait_until(lambda: not tables.chunk_waits(), what="the database to notice")
        given_up = death // (LIMIT + 1)
        wait_until(
            partial(dead_lettered, amqp_url, given_up),
            what=f"{given_up} letters after {death} deaths",
        )

    with run_loader("--exit-when-empty") as loader:
        assert loader.end() == 0
    letters = take_all(amqp_url, DEAD)
    assert [letter.body for letter in letters] == poisons
    assert [
        (found.stage, found.reason, found.queue) for found in map(read_dead_letter, letters)
    ] == [("broker", "delivery_limit", queue) for queue in INCOMING.values()]
    assert tables.rows("SELECT client_id, serial FROM state_message ORDER BY 1, 2") == [
        (client, serial)
        for number in range(len(poisons))
        for client, serials in zip(neighbours(number), ((1, 2), (1,)), strict=True)
        for serial in serials
    ]
