"""`/api/v1/clients`: the clients, and what is known of one."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse
from pydantic import Field, TypeAdapter

from console.places import behind, paged, place
from console.queries.clients import ListedClient
from console.queries.one_client import StateKey
from console.queries.rows import ClientRow, DueRow, MissingRow, RequestRow, StateRow
from console.states import states_as_data
from console.trace.gather import SerialTrace, serial_of_database
from console.why.evidence import answer_as_data
from console.why.facts import Topic
from console.why.verdict import Verdict
from console.why.verdict import answer as verdict_of
from runtime.options import GivenClient
from web.api.answers import PROBLEMS, answer
from web.api.shapes import page, row, shape
from web.broker import facts_of
from web.fields import Client, Filter, Listed, Optional, Serial, TopicId
from web.fields import Topic as TopicType
from web.pages.clients import ClientList
from web.readers import SiteQueries
from web.site import Site, TheSite

router = APIRouter(prefix="/api/v1/clients", tags=["clients"], responses=PROBLEMS)

Asked = Annotated[Client, Path(description="Its id, or its name in any letter case.")]
_Whole = Annotated[int, Field(ge=0, le=1_000_000)]
_NUMBER = TypeAdapter(tuple[_Whole])
#: Rows of a page, and where the list goes on.
_Page: TypeAlias = tuple[Sequence[Any], str | None]


#: The beginning of every list about one client.
_named = {"client_id": UUID, "name": str}


@router.get(
    "",
    response_model=page(
        "Clients",
        "A page of the list of clients.",
        evaluated_at=datetime | None,
        completeness=dict[str, datetime | int],
        clients=list[ListedClient],
    ),
)
def clients(site: TheSite, asked: Annotated[ClientList, Query()]) -> JSONResponse:
    """List clients, as `statesys clients --json`."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        evaluated = asked.evaluated(queries)
        shown, following = asked.page(queries)
        completeness = queries.completeness()
    return answer(
        as_of=now,
        evaluated_at=evaluated,
        completeness={"as_of": completeness.as_of, **completeness.clients},
        clients=shown,
        next=following,
    )


@router.get(
    "/{client}",
    response_model=shape(
        "Client",
        "What is known of one client.",
        as_of=datetime,
        client=ClientRow,
        condition=str | None,
        due=DueRow | None,
        states=int,
        last_change=datetime | None,
    ),
)
def client(site: TheSite, client: Asked) -> JSONResponse:
    """One client: its counters, its condition, and when it is asked for a resync."""
    with site.readers.snapshot() as queries:
        known = queries.known(client)
        return answer(
            as_of=queries.now(),
            client=known,
            condition=queries.condition(known.client_id),
            due=queries.due(known.client_id),
            **queries.changes(known.client_id)._asdict(),
        )


@router.get(
    "/{client}/states",
    response_model=page(
        "States",
        "A page of the current states of a client.",
        **_named,
        states=list[row(StateRow, topic_name=str, state_name=str)],  # type: ignore[misc]
    ),
)
def states(site: TheSite, client: Asked, asked: Annotated[Listed, Query()]) -> JSONResponse:
    """The current states, as `statesys states --json`."""
    after = behind(asked.after, StateKey)

    def states(queries: SiteQueries, client_id: UUID) -> _Page:
        found = queries.state_page(client_id, after=after, limit=asked.limit + 1)
        shown, following = paged(found, asked.limit, StateKey.of)
        return states_as_data(shown), following

    return _of_client(site, client, "states", states)


class ClientGaps(Listed):
    """Which missing ranges of a client are listed."""

    closed: Annotated[bool, Field(description="Closed ranges too.")] = False


@router.get(
    "/{client}/gaps",
    response_model=page(
        "ClientGaps", "A page of the missing ranges of a client.", **_named, gaps=list[MissingRow]
    ),
)
def gaps(site: TheSite, client: Asked, asked: Annotated[ClientGaps, Query()]) -> JSONResponse:
    """The missing ranges, open ones first, oldest first, as `statesys gaps --json`."""
    begin = _begin(asked)

    def ranges(queries: SiteQueries, client_id: UUID) -> _Page:
        most = begin + asked.limit + 1
        return _numbered(queries.missing(client_id, closed=asked.closed, limit=most), begin, asked)

    return _of_client(site, client, "gaps", ranges)


@router.get(
    "/{client}/requests",
    response_model=page(
        "ClientRequests",
        "A page of the resync requests of a client.",
        **_named,
        requests=list[RequestRow],
    ),
)
def requests(site: TheSite, client: Asked, asked: Annotated[Listed, Query()]) -> JSONResponse:
    """The resync requests, newest first; claims without a request have no reason."""
    begin = _begin(asked)

    def asked_of_it(queries: SiteQueries, client_id: UUID) -> _Page:
        return _numbered(queries.requests(client_id, limit=begin + asked.limit + 1), begin, asked)

    return _of_client(site, client, "requests", asked_of_it)


class AskedTopic(Filter):
    """The topic that a question is about; none: the client as a whole."""

    topic_type: Optional[TopicType] = None
    topic_id: Optional[TopicId] = None


@router.get(
    "/{client}/why",
    response_model=shape(
        "Why",
        "Why the state of a client is unknown or old.",
        as_of=datetime,
        client_id=UUID,
        name=str | None,
        verdict=Verdict,
        sentence=str,
        command=str,
        broker_read=bool,
        evidence=dict[str, Any],
    ),
)
def why(site: TheSite, client: Asked, asked: Annotated[AskedTopic, Query()]) -> JSONResponse:
    """Why its state, or one of its states, is unknown or old, as `statesys why --json`."""
    topic = None if asked.topic_type is None else Topic(asked.topic_type, asked.topic_id)
    facts = facts_of(site, client, topic)
    return answer(**answer_as_data(facts, verdict_of(facts)))


@router.get(
    "/{client}/serials/{serial}",
    response_model=shape(
        "Trace",
        "Where a message is, or what became of it.",
        as_of=datetime,
        verdict=str,
        client_id=UUID,
        serial=int,
        client=ClientRow | None,
        rows=SerialTrace.__annotations__["rows"],
        letters=list[dict[str, Any]] | None,
        ranges=list[MissingRow],
        requests=list[RequestRow],
    ),
)
def trace(site: TheSite, client: Asked, serial: Serial) -> JSONResponse:
    """Where a message is, or what became of it, as `statesys trace --json`."""
    with site.readers.snapshot() as queries:
        found = serial_of_database(queries, queries.client_id_of(client), serial)
        now = queries.now()
    data = found.as_data()
    # The viewer has no store of a fleet.
    del data["fleet"]
    return answer(as_of=now, **data)


def _of_client(
    site: Site, client: GivenClient, name: str, page_of_it: Callable[[SiteQueries, UUID], _Page]
) -> JSONResponse:
    """A page of what is known of one client, under a name."""
    with site.readers.snapshot() as queries:
        known, now = queries.known(client), queries.now()
        shown, following = page_of_it(queries, known.client_id)
    named = {"client_id": known.client_id, "name": known.name, name: shown}
    return answer(as_of=now, **named, next=following)


def _begin(asked: Listed) -> int:
    """How many rows of a short list come before a page."""
    return 0 if asked.after is None else place(asked.after, _NUMBER)[0]


def _numbered(found: Sequence[Any], begin: int, asked: Listed) -> _Page:
    """A page of a short list, whose places are numbers."""
    return paged(found[begin:], asked.limit, lambda _row: (begin + asked.limit,))
