"""`/resyncs`: the resync requests of all clients."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from console.places import behind, paged
from console.queries.resyncs import RequestKey, RequestState, SiteRequest
from web.csv_stream import PAGE, csv_stream
from web.fields import Listed
from web.page import Page, command_line, render
from web.readers import SiteQueries
from web.site import TheSite

router = APIRouter()


class RequestList(Listed):
    """Which resync requests are listed."""

    state: RequestState = RequestState.PENDING

    def find(self, queries: SiteQueries, after: RequestKey | None, limit: int) -> list[SiteRequest]:
        """The requests behind a place."""
        return queries.site_requests(self.state, after=after, limit=limit)

    def page(self, queries: SiteQueries) -> tuple[list[SiteRequest], str | None]:
        """The requests of the page, and the `after` of the next one."""
        found = self.find(queries, behind(self.after, RequestKey), self.limit + 1)
        return paged(found, self.limit, RequestKey.of)


@router.get("/resyncs")
def resyncs(
    request: Request, site: TheSite, asked: Annotated[RequestList, Query()]
) -> HTMLResponse:
    """A page of the list."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        shown, following = asked.page(queries)
    # Counting them takes longer than the list on a large site, and the poller does it anyway.
    half = site.watching.look().status.database
    page = Page(
        title="Resync requests",
        command=command_line("statesys resync list", asked.with_values(after=None, limit=None)),
        as_of=now,
        csv=asked.whole("/resyncs.csv"),
    )
    return render(
        request,
        "resyncs.html",
        page,
        asked=asked,
        requests=shown,
        totals=half.totals if half else None,
        states=list(RequestState),
        following=asked.following(following),
    )


@router.get("/resyncs.csv")
def resyncs_csv(site: TheSite, asked: Annotated[RequestList, Query()]) -> StreamingResponse:
    """The whole list as CSV."""
    return csv_stream(
        *(site.readers, "resyncs.csv", SiteRequest._fields),
        lambda queries, after: asked.find(queries, after, PAGE),
        key=RequestKey.of,
    )
