"""`/top`: the clients and topic types that send most, in the last hour and the last day."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field

from console.completeness import sentence
from console.queries.activity import TopClients
from console.top.rankings import (
    BusyClient,
    BusyTopic,
    TopTopics,
    busy_clients,
    busy_topics,
    clients_as_data,
    top_topics,
    topics_as_data,
)
from web.csv_stream import csv_of_whole
from web.fields import Filter
from web.page import Page, command_line, render
from web.readers import SiteQueries
from web.site import TheSite

router = APIRouter()


class By(StrEnum):
    """The window that decides the order."""

    HOUR = "hour"
    DAY = "day"


class TopList(Filter):
    """The values of the list's URL, which are also the options of `statesys top`."""

    by: By = By.HOUR
    limit: Annotated[int, Field(ge=1, le=1000)] = 20

    def clients(self, queries: SiteQueries) -> TopClients:
        """Ask for the clients."""
        return queries.top_clients(by_day=self.by is By.DAY, limit=self.limit)

    def topics(self, queries: SiteQueries) -> TopTopics:
        """Ask for the topic types."""
        return top_topics(queries, by_day=self.by is By.DAY, limit=self.limit)


Asked = Annotated[TopList, Query()]


@router.get("/top")
def top(request: Request, site: TheSite, asked: Asked) -> HTMLResponse:
    """Both lists."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        clients = clients_as_data(asked.clients(queries))
        topics = topics_as_data(asked.topics(queries))
        completeness = queries.completeness()
    values = asked.with_values()
    page = Page(
        title="Who sends most",
        command=command_line("statesys top clients", values),
        as_of=clients["as_of"],
        completeness=sentence(completeness, now),
        csv=f"/top/clients.csv?{urlencode(values)}",
    )
    return render(
        request,
        "top.html",
        page,
        asked=asked,
        orders=list(By),
        of_clients=clients,
        of_topics=topics,
        topic_csv=f"/top/topics.csv?{urlencode(values)}",
        topic_command=command_line("statesys top topics", values),
    )


@router.get("/top/clients.csv")
def clients_csv(site: TheSite, asked: Asked) -> StreamingResponse:
    """The clients as CSV."""
    return csv_of_whole(
        *(site.readers, "top-clients.csv", BusyClient._fields),
        lambda queries: busy_clients(asked.clients(queries)),
    )


@router.get("/top/topics.csv")
def topics_csv(site: TheSite, asked: Asked) -> StreamingResponse:
    """The topic types as CSV."""
    return csv_of_whole(
        *(site.readers, "top-topics.csv", BusyTopic._fields),
        lambda queries: busy_topics(asked.topics(queries)),
    )
