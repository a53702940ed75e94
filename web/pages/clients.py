"""`/clients`: the list of clients, its filter in the URL."""

from operator import attrgetter
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import AwareDatetime, Field, TypeAdapter

from console.completeness import CONDITIONS, sentence
from console.paging import page_of
from console.places import Token, place, token
from console.queries import Queries
from console.queries.clients import ClientFilter, ClientKey, Condition, ListedClient, Order
from web.command import command_line
from web.csv_stream import PAGE, csv_stream
from web.fields import Age, Filter, Optional, StoredText, Text
from web.page import Page, render
from web.site import TheSite

router = APIRouter()

_PLACE = TypeAdapter(tuple[StoredText, AwareDatetime | None, UUID])


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
    def behind(self) -> ClientKey | None:
        """Where the list goes on; None: at its beginning."""
        return None if self.after is None else ClientKey(*place(self.after, _PLACE))

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


@router.get("/clients")
def clients(request: Request, site: TheSite, asked: Annotated[ClientList, Query()]) -> HTMLResponse:
    """A page of the list."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        if asked.collection is not None:
            queries.evaluated(asked.collection)
        found = queries.clients(
            asked.chosen, order=asked.sort, after=asked.behind, limit=asked.limit + 1, now=now
        )
        completeness = queries.completeness(now=now)
    shown, last = page_of(found, asked.limit)
    page = Page(
        title="Clients",
        command=command_line("statesys clients", asked.with_values(after=None)),
        as_of=now,
        completeness=sentence(completeness, now),
        csv=f"/clients.csv?{urlencode(asked.with_values(after=None, limit=None))}",
    )
    after = None if last is None else token(ClientKey.of(last))
    return render(
        request,
        "clients.html",
        page,
        asked=asked,
        clients=shown,
        conditions=CONDITIONS,
        counts=completeness.clients,
        orders=list(Order),
        following=None if after is None else urlencode(asked.with_values(after=after)),
    )


@router.get("/clients.csv")
def clients_csv(site: TheSite, asked: Annotated[ClientList, Query()]) -> StreamingResponse:
    """The whole list as CSV."""

    def following(queries: Queries, last: ListedClient | None) -> list[ListedClient]:
        if last is None and asked.collection is not None:
            # Raises where there is none of the name.
            queries.evaluated(asked.collection)
        after = None if last is None else ClientKey.of(last)
        return queries.clients(asked.chosen, order=asked.sort, after=after, limit=PAGE)

    columns = ("name", "client_id", "version", "last_seen", "last_change", "condition", "states")
    return csv_stream(site.readers, "clients.csv", columns, following, attrgetter(*columns))
