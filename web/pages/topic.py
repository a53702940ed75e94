"""`/topics/{type}` and `/topics/{type}/{id}`: how many clients are in which state, and which."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field

from console.completeness import CONDITIONS, sentence
from console.compliance.gather import (
    Counted,
    Question,
    count,
    find,
    find_quickly,
    require_known,
)
from console.compliance.state import NEVER, read_state
from console.compliance.view import TOTALS_COLUMNS, Clients, numbers_of, rows_of, totals_cells
from console.names import topic_name, topic_sentence
from console.queries.clients import Completeness
from console.queries.compliance import ClientInState, KeptClients
from console.queries.rows import StoredText
from web.bars import Piece, bar
from web.csv_stream import PAGE, csv_of_whole, csv_stream
from web.fields import Filter, Optional, Text, TopicId, TopicType
from web.page import Page, command_line, render
from web.readers import SiteQueries
from web.site import Site, TheSite

router = APIRouter()

#: States, those of most clients, and topic ids that a page shows.
_STATES, _TOPICS = 100, 50


class TopicPage(Filter):
    """What a page shows beside the numbers.

    Attributes:
        state: whose clients are listed, by its id or name, or `never`.
        after: the last client of the page before.
        after_id: the last topic id of the page before.
    """

    state: Optional[Text] = None
    after: Optional[UUID] = None
    after_id: StoredText | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class Compliance(Filter):
    """What is wanted as CSV: the clients in a state, or the numbers."""

    topic_type: TopicType
    topic_id: StoredText | None = None
    state: Optional[Text] = None


class StateLine(NamedTuple):
    """A row of the table: a state, or those that told or never told.

    Attributes:
        state: for the list of its clients; None when there is no such list.
        numbers: clients, and those of each condition.
    """

    state_id: int | None
    name: str
    state: str | None
    numbers: list[int]
    bar: list[Piece]


@router.get("/topics/{topic_type}")
def topic_of_type(
    request: Request, site: TheSite, topic_type: TopicType, asked: Annotated[TopicPage, Query()]
) -> HTMLResponse:
    """All topics of a type together, and which there are."""
    return _topic(request, site, Question(topic_type, None), asked)


@router.get("/topics/{topic_type}/{topic_id:path}")
def topic(
    request: Request,
    site: TheSite,
    topic_type: TopicType,
    topic_id: TopicId,
    asked: Annotated[TopicPage, Query()],
) -> HTMLResponse:
    """One topic."""
    return _topic(request, site, Question(topic_type, topic_id), asked)


@router.get("/compliance.csv")
def compliance_csv(site: TheSite, asked: Annotated[Compliance, Query()]) -> StreamingResponse:
    """The clients in a state, or the numbers of a topic, as CSV."""
    question = Question(asked.topic_type, asked.topic_id)
    if asked.state is None:

        def numbers(queries: SiteQueries) -> list[Sequence[object]]:
            return totals_cells(question, queries.state_totals(*question))

        return csv_of_whole(site.readers, "compliance.csv", TOTALS_COLUMNS, numbers)
    state, states = asked.state, read_state(asked.topic_type, asked.state)

    kept: KeptClients | None = None

    def find_behind(queries: SiteQueries, after: UUID | None) -> list[ClientInState]:
        nonlocal kept
        if after is None:
            found = find(queries, question, state, states, after=None, limit=PAGE)
            kept = found.kept
            return found.clients
        # The numbers are not asked again: they take longer than a page.
        among = None if kept is None else kept.client_ids
        return queries.clients_in_state(*question, states, among=among, after=after, limit=PAGE)

    columns, key = ClientInState._fields, attrgetter("client_id")
    return csv_stream(site.readers, "clients.csv", columns, find_behind, key=key)


def _topic(request: Request, site: Site, question: Question, asked: TopicPage) -> HTMLResponse:
    states = None if asked.state is None else read_state(question.topic_type, asked.state)
    listed: list[ClientInState] | None = None
    goes_on: UUID | None = None
    topics = []
    with site.readers.snapshot() as queries:
        counted = count(queries, question)
        if asked.state is not None:
            require_known(question, asked.state, states, counted.totals)
            listed, goes_on = find_quickly(
                queries, question, states, counted.totals, after=asked.after, limit=asked.limit
            )
        elif question.topic_id is None:
            # One id more than is shown tells whether there are more.
            topics = queries.topic_ids(question.topic_type, after=asked.after_id, limit=_TOPICS + 1)
    totals = counted.totals
    lines = _lines(question, counted)
    page = Page(
        title=f"{question.topic_type} {topic_name(question.topic_type)}",
        command=_command(question, asked),
        as_of=totals.as_of,
        completeness=sentence(Completeness(totals.as_of, totals.clients), counted.now),
        csv=f"/compliance.csv?{urlencode(_as_query(question, asked))}",
    )
    more_topics = len(topics) > _TOPICS
    return render(
        request,
        "topic.html",
        page,
        asked=asked,
        question=question,
        meaning=topic_sentence(question.topic_type),
        conditions=CONDITIONS,
        lines=lines[:_STATES] + lines[-3:] if len(lines) > _STATES + 3 else lines,
        hidden=max(len(lines) - _STATES - 3, 0),
        overlap=totals.overlap,
        never=states is None,
        listed=listed,
        following=asked.following(goes_on),
        topics=topics[:_TOPICS],
        more_topics=urlencode({"after_id": topics[_TOPICS - 1].topic_id}) if more_topics else None,
    )


def _lines(question: Question, counted: Counted) -> list[StateLine]:
    """The states, those of most clients first, then who told, who never told, and all."""
    total = sum(counted.totals.clients.values())
    rows = list(rows_of(question, counted.totals))
    of_states = sorted(rows[:-3], key=lambda row: -sum(row[2].values()))
    found = [_line(number, name, str(number), of, total) for number, name, of in of_states]
    for (_, name, of), state in zip(rows[-3:], (None, NEVER, None), strict=True):
        found.append(_line(None, name, state, of, total))
    return found


def _line(
    number: int | None, name: str, state: str | None, clients: Clients, total: int
) -> StateLine:
    return StateLine(number, name, state, numbers_of(clients), bar(clients, total))


def _command(question: Question, asked: TopicPage) -> str:
    topic_id = [] if question.topic_id is None else [question.topic_id]
    options = {} if asked.state is None else {"clients": asked.state}
    return command_line("statesys compliance", options, question.topic_type, *topic_id)


def _as_query(question: Question, asked: TopicPage) -> dict[str, object]:
    found = {**question._asdict(), "state": asked.state}
    return {name: value for name, value in found.items() if value is not None}
