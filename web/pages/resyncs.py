"""`/resyncs`: the resync requests of all clients."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field

from console.paging import page_of
from console.places import Token, token
from console.queries import Queries
from console.queries.resyncs import RequestKey, RequestState, SiteRequest
from console.resyncs import behind
from web.command import command_line
from web.csv_stream import PAGE, csv_stream
from web.fields import Filter, Optional
from web.page import Page, render
from web.site import TheSite

router = APIRouter()


class RequestList(Filter):
    """The values of the list's URL."""

    state: RequestState = RequestState.PENDING
    after: Optional[Token] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50

    @property
    def behind(self) -> RequestKey | None:
        """Where the list goes on; None: at its beginning."""
        return behind(self.after)


@router.get("/resyncs")
def resyncs(
    request: Request, site: TheSite, asked: Annotated[RequestList, Query()]
) -> HTMLResponse:
    """A page of the list."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        found = queries.site_requests(asked.state, after=asked.behind, limit=asked.limit + 1)
    # Counting them takes longer than the list on a large site, and the poller does it anyway.
    half = site.watching.look().status.database
    shown, last = page_of(found, asked.limit)
    page = Page(
        title="Resync requests",
        command=command_line("statesys resync list", asked.with_values(after=None, limit=None)),
        as_of=now,
        csv=f"/resyncs.csv?{urlencode(asked.with_values(after=None, limit=None))}",
    )
    after = None if last is None else token(RequestKey.of(last))
    return render(
        request,
        "resyncs.html",
        page,
        asked=asked,
        requests=shown,
        totals=half.totals if half else None,
        states=list(RequestState),
        following=None if after is None else urlencode(asked.with_values(after=after)),
    )


@router.get("/resyncs.csv")
def resyncs_csv(site: TheSite, asked: Annotated[RequestList, Query()]) -> StreamingResponse:
    """The whole list as CSV."""

    def following(queries: Queries, last: SiteRequest | None) -> list[SiteRequest]:
        after = None if last is None else RequestKey.of(last)
        return queries.site_requests(asked.state, after=after, limit=PAGE)

    return csv_stream(site.readers, "resyncs.csv", SiteRequest._fields, following, tuple)
