"""`/clients`: the list of clients, its filter in the URL."""

from datetime import datetime
from operator import attrgetter
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field

from console.completeness import CONDITIONS, sentence
from console.places import Token, behind, paged
from console.queries.clients import ClientFilter, ClientKey, Condition, ListedClient, Order
from web.csv_stream import PAGE, csv_stream
from web.fields import Age, Filter, Optional, Text
from web.page import Page, command_line, render
from web.readers import SiteQueries
from web.site import TheSite

router = APIRouter()


class ClientList(Filter):
    """The values of the list's URL, which are also the options of `statesys clients`."""

    condition: Optional[Condition] = None
    name: Optional[Text] = None
    version: Optional[Text] = None
    stale: Age = None
    collection: Optional[Text] = None
    sort: Order = Order.NAME
    after: Optional[Token] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50

    @property
    def chosen(self) -> ClientFilter:
        """The clients that are listed."""
        return ClientFilter(
            condition=self.condition,
            name=self.name,
            version=self.version,
            stale=self.stale,
            collection=self.collection,
        )

    def evaluated(self, queries: SiteQueries) -> datetime | None:
        """When the collection was evaluated last; None without one, or if it was not yet.

        Raises:
            UnknownCollection: there is none of the name.
        """
        return None if self.collection is None else queries.evaluated(self.collection)

    def find(self, queries: SiteQueries, after: ClientKey | None, limit: int) -> list[ListedClient]:
        """The clients behind a place."""
        return queries.clients(self.chosen, order=self.sort, after=after, limit=limit)

    def page(self, queries: SiteQueries) -> tuple[list[ListedClient], str | None]:
        """The clients of the page, and the `after` of the next one."""
        found = self.find(queries, behind(self.after, ClientKey), self.limit + 1)
        return paged(found, self.limit, ClientKey.of)


@router.get("/clients")
def clients(request: Request, site: TheSite, asked: Annotated[ClientList, Query()]) -> HTMLResponse:
    """A page of the list."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        asked.evaluated(queries)
        shown, following = asked.page(queries)
        completeness = queries.completeness()
    page = Page(
        title="Clients",
        command=command_line("statesys clients", asked.with_values(after=None)),
        as_of=now,
        completeness=sentence(completeness, now),
        csv=asked.whole("/clients.csv"),
    )
    return render(
        request,
        "clients.html",
        page,
        asked=asked,
        clients=shown,
        conditions=CONDITIONS,
        orders=list(Order),
        following=asked.following(following),
    )


@router.get("/clients.csv")
def clients_csv(site: TheSite, asked: Annotated[ClientList, Query()]) -> StreamingResponse:
    """The whole list as CSV."""

    def find(queries: SiteQueries, after: ClientKey | None) -> list[ListedClient]:
        if after is None:
            asked.evaluated(queries)
        return asked.find(queries, after, PAGE)

    columns = ("name", "client_id", "version", "last_seen", "last_change", "condition", "states")
    cells = attrgetter(*columns)
    return csv_stream(site.readers, "clients.csv", columns, find, key=ClientKey.of, cells=cells)
