"""`/api/v1/topics`: the catalogue, and how many clients are in which state of a topic."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse
from pydantic import Field, TypeAdapter

from console.compliance.gather import Question, count, find
from console.compliance.state import read_state
from console.compliance.view import totals_as_data
from console.names import catalogued_states, topic_name, topic_sentence
from console.places import paged, place
from console.queries.compliance import ClientInState
from schemas.topics import topic_types
from web.api.answers import PROBLEMS, answer
from web.api.shapes import page, shape
from web.fields import Filter, Limit, Listed, Optional, Text, Topic, TopicId
from web.site import TheSite

router = APIRouter(prefix="/api/v1/topics", tags=["topics"], responses=PROBLEMS)

Asked = Annotated[Topic, Path(description="Its number, or its name in the catalogue.")]
_TYPE = TypeAdapter(tuple[int])

_State = shape("CatalogueState", "A state that Microsoft documents.", state_id=int, state_name=str)
_Type = shape(
    "CatalogueTopic",
    "A topic type that Microsoft documents.",
    topic_type=int,
    topic_name=str,
    meaning=str | None,
    states=list[_State],  # type: ignore[valid-type]
)
_counts = {"clients": int, "conditions": dict[str, int]}
_Counts = shape("CountedClients", "A number of clients, in all and by condition.", **_counts)
_CountedState = shape(
    "CountedState", "The clients in one state.", state_id=int, state_name=str, **_counts
)


@router.get(
    "",
    response_model=page(
        *("Topics", "A page of the topic catalogue."),
        topics=list[_Type],  # type: ignore[valid-type]
    ),
)
def topics(site: TheSite, asked: Annotated[Listed, Query()]) -> JSONResponse:
    """The topic types with their states, as `statesys topics` tells them."""
    after = -1 if asked.after is None else place(asked.after, _TYPE)[0]
    found = [number for number in sorted(topic_types()) if number > after]
    shown, following = paged(found, asked.limit, lambda number: (number,))
    with site.readers.snapshot() as queries:
        now = queries.now()
    return answer(as_of=now, topics=list(map(_described, shown)), next=following)


class OneTopic(Filter):
    """Which topic of the type; none: all its topics."""

    topic_id: Annotated[Optional[TopicId], Field(description="One topic of the type.")] = None


@router.get(
    "/{topic_type}",
    response_model=shape(
        "Compliance",
        "How many clients are in which state.",
        now=datetime,
        as_of=datetime,
        counted_now=bool,
        topic_type=int,
        topic_name=str,
        meaning=str | None,
        topic_id=str | None,
        states=list[_CountedState],  # type: ignore[valid-type]
        told=_Counts,
        never=_Counts,
        all=_Counts,
    ),
)
def compliance(
    site: TheSite, topic_type: Asked, asked: Annotated[OneTopic, Query()]
) -> JSONResponse:
    """How many clients are in which state, as `statesys compliance --json`."""
    question = Question(topic_type, asked.topic_id)
    with site.readers.snapshot() as queries:
        found = count(queries, question)
    return answer(**totals_as_data(question, found))


class InState(OneTopic):
    """Which clients are listed."""

    state: Annotated[
        Text,
        Field(
            min_length=1,
            description="The id of a state, its name, or `never`: clients that never told.",
        ),
    ]
    after: Annotated[
        Optional[UUID], Field(description="Goes on behind this client: `next` of the last page.")
    ] = None
    limit: Limit = 50
    now: Annotated[
        bool,
        Field(
            description="Look at all clients now. Else, on a large site, the clients of a state "
            "that few have are those of the last count; `as_of` says when that was."
        ),
    ] = False


@router.get(
    "/{topic_type}/clients",
    response_model=page(
        *("TopicClients", "A page of the clients in a state."),
        topic_type=int,
        topic_id=str | None,
        state_ids=list[int] | None,
        clients=list[ClientInState],
        next=UUID | None,
    ),
)
def clients(site: TheSite, topic_type: Asked, asked: Annotated[InState, Query()]) -> JSONResponse:
    """The clients in a state, by id, as `statesys compliance --clients --json`."""
    states = read_state(topic_type, asked.state)
    with site.readers.snapshot() as queries:
        found = find(
            queries,
            Question(topic_type, asked.topic_id),
            asked.state,
            states,
            after=asked.after,
            limit=asked.limit,
            at_once=asked.now,
        )
    return answer(
        as_of=found.now,
        topic_type=topic_type,
        topic_id=asked.topic_id,
        state_ids=found.state_ids,
        clients=found.clients,
        next=found.clients[-1].client_id if found.more else None,
    )


def _described(topic_type: int) -> dict[str, Any]:
    return {
        "topic_type": topic_type,
        "topic_name": topic_name(topic_type),
        "meaning": topic_sentence(topic_type),
        "states": [
            {"state_id": number, "state_name": name}
            for number, name in catalogued_states(topic_type).items()
        ],
    }
