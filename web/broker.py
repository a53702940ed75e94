"""What a page about one client tells of the broker."""

from dataclasses import replace
from uuid import UUID

from console.why.facts import BrokerFacts, Facts, Topic, facts_of_database
from runtime.broker import QueueDepth
from runtime.options import GivenClient
from schemas.topology import shard_of
from web.site import Site


def facts_of(site: Site, given: GivenClient, topic: Topic | None) -> Facts:
    """What database and broker know of a client; errors as of `facts_of_database`."""
    with site.readers.snapshot() as queries:
        facts = facts_of_database(queries, queries.client_id_of(given), topic)
    return replace(facts, broker=broker_facts(site, facts.client_id))


def broker_facts(site: Site, client_id: UUID) -> BrokerFacts | None:
    """What the broker knows of a client, by the viewer's last look at it.

    Returns:
        None when the broker is away: the answer is then from the database alone.
    """
    look = site.watching.look()
    broker = look.status.broker
    if broker is None:
        return None
    held = (letter.by_client.get(client_id) for letter in look.letters.letters)
    return BrokerFacts(
        letters=[letter for letter in held if letter is not None],
        letters_cut=look.letters.cut,
        queues={
            queue.name: QueueDepth(queue.ready, queue.consumers)
            for queue in broker.queues
            if shard_of(queue.name) is not None
            and queue.ready is not None
            and queue.consumers is not None
        },
    )
