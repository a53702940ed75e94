"""What a check of the topology makes of declarations that RabbitMQ refused."""

from console.topology.checks import judge, needed_bindings
from runtime.broker.inspection import FoundExchange, FoundQueue, Inspection
from schemas.topology import DEAD, PUBLISHED, REPORTS, RESYNC, queues

REFUSED = ["no permission to configure"]


def site(*, durable_dead: bool = True, exchange_kind: str = PUBLISHED.kind) -> Inspection:
    """A site without shards that is right, but for what the arguments say."""
    found = [
        FoundQueue(
            name=queue.name,
            kind="quorum",
            durable=durable_dead or queue.name != DEAD,
            auto_delete=False,
            exclusive=False,
            arguments=dict(queue.arguments),
            available=True,
        )
        for queue in queues()
    ]
    bound = needed_bindings(1)[PUBLISHED]
    exchange = FoundExchange(
        kind=exchange_kind,
        durable=True,
        auto_delete=False,
        internal=False,
        arguments={},
        bindings=bound,
    )
    return Inspection(found, {PUBLISHED.name: exchange}, [])


def problems(refused: str, found: Inspection) -> dict[str, list[str]]:
    """The problems by name, where RabbitMQ refused to declare one queue."""
    declared = {queue.name: REFUSED if queue.name == refused else [] for queue in queues()}
    return {one.what: one.problems for one in judge(declared, found, 1) if one.problems}


def test_a_refused_declaration_is_a_problem_where_the_api_shows_none() -> None:
    assert problems(RESYNC, site()) == {f"queue {RESYNC}": REFUSED}


def test_a_refused_declaration_is_a_problem_beside_that_of_another_queue() -> None:
    found = problems(RESYNC, site(durable_dead=False))
    assert found.keys() == {f"queue {DEAD}", f"queue {RESYNC}"}
    assert found[f"queue {RESYNC}"] == REFUSED


def test_a_refusal_that_a_problem_of_the_queue_explains_is_not_told_twice() -> None:
    found = problems(DEAD, site(durable_dead=False))
    assert found == {f"queue {DEAD}": ["is not durable: a restart of the broker deletes it"]}


def test_a_refusal_that_a_wrong_exchange_explains_is_told_of_the_exchange_alone() -> None:
    found = problems(REPORTS, site(exchange_kind="fanout"))
    assert found.keys() == {f"exchange {PUBLISHED.name}"}
    # The other queues have no exchange, so it explains nothing of theirs.
    found = problems(RESYNC, site(exchange_kind="fanout"))
    assert found.keys() == {f"exchange {PUBLISHED.name}", f"queue {RESYNC}"}
