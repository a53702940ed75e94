"""Gathers what the server knows of one client, and of one of its topics, at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from console.dead.box import Box
from console.dead.search import ClientLetter, ask_broker, letters_of
from console.queries import Queries
from console.queries.rows import (
    ClientRow,
    DueRow,
    MessageRow,
    RequestRow,
    StateRow,
)
from console.queries.why import Changes, OpenRange, Since
from console.reading import reading
from runtime.broker import Administration, QueueDepth
from runtime.broker.shards import count_shards
from runtime.options import GivenClient
from runtime.settings import Settings
from schemas.serials import SerialRanges
from schemas.topology import work

_NAME = "statesys why"
#: Requests of the client, and messages of the topic, that are read: the newest tell.
LATEST = 10
_NOTHING, _NONE = Since(), Changes()


class Topic(NamedTuple):
    """What is asked about; `topic_id` None means all topics of the type."""

    topic_type: int
    topic_id: str | None = None


class BrokerFacts(NamedTuple):
    """What the broker knows.

    Attributes:
        letters: dead letters that hold serials of the client, oldest first.
        letters_cut: there are more dead letters than were read.
        queues: depths of the work queues that exist.
    """

    letters: Sequence[ClientLetter] = ()
    letters_cut: bool = False
    queues: Mapping[str, QueueDepth] = {}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the server knows of a client. Moments are of the database's clock.

    Attributes:
        at: the moment of everything here.
        topic: None: the question is about the client as a whole.
        client: None when the server does not know it; most other facts are then empty.
        condition: see the glossary.
        due: whether and when it is asked for a resync; None when there is no cause.
        ranges: open missing ranges, oldest first.
        requests: resync requests, newest first.
        states: current states of the topic.
        messages: of the topic, from the history, highest serials first.
        front: up to when the site has loaded what was sent to it; None when nothing was loaded.
        broker: None when the broker could not be read.
    """

    at: datetime
    client_id: UUID
    topic: Topic | None = None
    heartbeat_interval: timedelta
    client: ClientRow | None = None
    condition: str | None = None
    since: Since = _NOTHING
    due: DueRow | None = None
    ranges: Sequence[OpenRange] = ()
    requests: Sequence[RequestRow] = ()
    changes: Changes = _NONE
    states: Sequence[StateRow] = ()
    messages: Sequence[MessageRow] = ()
    front: datetime | None = None
    broker: BrokerFacts | None = None

    @property
    def known(self) -> ClientRow:
        """The client, for rules that come after the one for unknown clients."""
        assert self.client is not None
        return self.client

    @property
    def floor(self) -> int:
        """The serial up to which nothing can change the answer.

        A current state is the one with the highest serial, so messages that are missing below it
        are older. That holds for one state only: among several topics or users, a missing message
        may be the first of another one.
        """
        exact = self.topic is not None and self.topic.topic_id is not None
        return (self.states[0].serial or 0) if exact and len(self.states) == 1 else 0

    @property
    def lacking(self) -> list[OpenRange]:
        """The open ranges that matter to the question."""
        return [row for row in self.ranges if row.last_serial > self.floor]

    @property
    def lost_letters(self) -> list[ClientLetter]:
        """The dead letters that may hold what is asked about, and that nothing made up for."""
        letters = self.broker.letters if self.broker is not None else ()
        return [letter for letter in letters if self._lost(letter) and self._speaks(letter)]

    def _lost(self, letter: ClientLetter) -> bool:
        lost = letter.serials
        if self.client is not None:
            # The serials of a merged range are accounted for, and missing all the same.
            missing = SerialRanges((row.first_serial, row.last_serial) for row in self.ranges)
            lost = (lost - self.client.accounted) | (lost & missing)
        return any(serials.last > self.floor for serials in lost)

    def _speaks(self, letter: ClientLetter) -> bool:
        if self.topic is None or letter.topics is None:
            return True
        topic_type, topic_id = self.topic
        return any(kind == topic_type and topic_id in (None, name) for kind, name in letter.topics)


def gather(settings: Settings, given: GivenClient, topic: Topic | None) -> Facts:
    """Everything that is known of a client; the broker may be away.

    Raises:
        StatesysError: several clients or none have the name.
        DatabaseUnavailable, SchemaMissing: as every query.
    """
    with reading(Queries, settings, name=_NAME) as queries:
        facts = facts_of_database(queries, queries.client_id_of(given), topic)
    # Read after the database: a report that is refused meanwhile is in one of the two.
    broker = ask_broker(settings, lambda admin: facts_of_broker(admin, facts.client_id), name=_NAME)
    return replace(facts, broker=broker)


def facts_of_database(
    queries: Queries, client_id: UUID, topic: Topic | None, *, now: datetime | None = None
) -> Facts:
    """What the database knows, in one snapshot.

    Args:
        now: the moment to judge by; the database's clock by default.
    """
    with queries.snapshot():
        now = now or queries.now()
        facts = Facts(
            at=now,
            client_id=client_id,
            topic=topic,
            heartbeat_interval=queries.rules().heartbeat_interval,
            client=queries.client(client_id),
            front=queries.front(),
        )
        if facts.client is None:
            return facts
        facts = replace(
            facts,
            condition=queries.condition(client_id, now=now),
            since=queries.since(client_id, now=now),
            due=queries.due(client_id, now=now),
            ranges=queries.open_ranges(client_id),
            requests=queries.requests(client_id, limit=LATEST),
            changes=queries.changes(client_id),
        )
        if topic is None:
            return facts
        return replace(
            facts,
            states=queries.topic_states(client_id, *topic),
            messages=queries.topic_messages(client_id, *topic, limit=LATEST),
        )


def facts_of_broker(admin: Administration, client_id: UUID) -> BrokerFacts:
    """What the broker knows: dead letters of the client, and how full the work queues are."""
    box = Box(admin)
    letters = letters_of(box.look(), client_id)
    depths = {queue: admin.depth(queue) for queue in work(count_shards(admin))}
    return BrokerFacts(
        letters=letters,
        letters_cut=box.cut,
        queues={queue: depth for queue, depth in depths.items() if depth is not None},
    )
