"""`/api/v1/top`: the clients and topic types that send most."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from console.top.rankings import BusyClient, BusyTopic, clients_as_data, topics_as_data
from web.api.answers import PROBLEMS, answer
from web.api.shapes import shape
from web.pages.top import TopList
from web.site import TheSite

router = APIRouter(prefix="/api/v1/top", tags=["top"], responses=PROBLEMS)

_limits = {"from": datetime, "to": datetime}
_Sent = shape(
    "SentByClients",
    "What all clients sent in a window.",
    **_limits,
    clients=int,
    messages=int,
    median=int,
)
_Came = shape("Came", "What came of all topic types in a window.", **_limits, messages=int)


@router.get(
    "/clients",
    response_model=shape(
        "TopClients",
        "The clients that send most.",
        as_of=datetime,
        hour=_Sent,
        day=_Sent,
        clients=list[BusyClient],
    ),
)
def clients(site: TheSite, asked: Annotated[TopList, Query()]) -> JSONResponse:
    """The clients that sent most messages, as `statesys top clients --json`."""
    with site.readers.snapshot() as queries:
        return answer(**clients_as_data(asked.clients(queries)))


@router.get(
    "/topics",
    response_model=shape(
        "TopTopics",
        "The topic types of which most came.",
        as_of=datetime,
        hour=_Came,
        day=_Came,
        topics=list[BusyTopic],
    ),
)
def topics(site: TheSite, asked: Annotated[TopList, Query()]) -> JSONResponse:
    """The topic types of which most messages came, as `statesys top topics --json`."""
    with site.readers.snapshot() as queries:
        return answer(**topics_as_data(asked.topics(queries)))
