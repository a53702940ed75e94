"""`/gaps`: the missing ranges of all clients."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from console.completeness import sentence
from console.due import asked_words, due_words
from console.places import behind, paged
from console.queries.missing import RangeKey
from console.queries.rows import MissingRow
from web.csv_stream import PAGE, csv_stream
from web.fields import Listed
from web.page import Page, render
from web.readers import SiteQueries
from web.site import TheSite

router = APIRouter()


class GapList(Listed):
    """Which missing ranges are listed."""

    state: Literal["open", "closed"] = "open"

    @property
    def closed(self) -> bool:
        """Whether closed ranges are asked for."""
        return self.state == "closed"

    def find(self, queries: SiteQueries, after: RangeKey | None, limit: int) -> list[MissingRow]:
        """The ranges behind a place."""
        return queries.missing_page(closed=self.closed, after=after, limit=limit)

    def page(self, queries: SiteQueries) -> tuple[list[MissingRow], str | None]:
        """The ranges of the page, and the `after` of the next one."""
        found = self.find(queries, behind(self.after, RangeKey), self.limit + 1)
        return paged(found, self.limit, RangeKey.of)


@router.get("/gaps")
def gaps(request: Request, site: TheSite, asked: Annotated[GapList, Query()]) -> HTMLResponse:
    """A page of the list."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        shown, following = asked.page(queries)
        completeness = queries.completeness()
    page = Page(
        title="Gaps",
        command="statesys gaps --all" if asked.closed else "statesys gaps",
        as_of=now,
        completeness=sentence(completeness, now),
        csv=asked.whole("/gaps.csv"),
    )
    return render(
        request,
        "gaps.html",
        page,
        asked=asked,
        ranges=shown,
        now=now,
        asked_words=asked_words,
        due_words=due_words,
        following=asked.following(following),
    )


@router.get("/gaps.csv")
def gaps_csv(site: TheSite, asked: Annotated[GapList, Query()]) -> StreamingResponse:
    """The whole list as CSV."""
    return csv_stream(
        *(site.readers, "gaps.csv", MissingRow._fields),
        lambda queries, after: asked.find(queries, after, PAGE),
        key=RangeKey.of,
    )
