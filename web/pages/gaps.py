"""`/gaps`: the missing ranges of all clients."""

from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import AwareDatetime, Field, TypeAdapter

from console.completeness import sentence
from console.due import asked_words, due_words
from console.paging import page_of
from console.places import Token, place, token
from console.queries import Queries
from console.queries.missing import RangeKey
from console.queries.rows import MissingRow
from web.csv_stream import PAGE, csv_stream
from web.fields import Filter, Optional, Serial
from web.page import Page, render
from web.site import TheSite

router = APIRouter()

#: The values of a place in the list.
PLACE = TypeAdapter(tuple[AwareDatetime, UUID, Serial])


class GapList(Filter):
    """The values of the list's URL."""

    state: Literal["open", "closed"] = "open"
    after: Optional[Token] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50

    @property
    def behind(self) -> RangeKey | None:
        """Where the list goes on; None: at its beginning."""
        return None if self.after is None else RangeKey(*place(self.after, PLACE))

    @property
    def closed(self) -> bool:
        """Whether closed ranges are asked for."""
        return self.state == "closed"


@router.get("/gaps")
def gaps(request: Request, site: TheSite, asked: Annotated[GapList, Query()]) -> HTMLResponse:
    """A page of the list."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        found = queries.missing_page(
            closed=asked.closed,
            after=asked.behind,
            limit=asked.limit + 1,
            now=now,
        )
        completeness = queries.completeness(now=now)
    shown, last = page_of(found, asked.limit)
    page = Page(
        title="Gaps",
        command="statesys gaps --all" if asked.closed else "statesys gaps",
        as_of=now,
        completeness=sentence(completeness, now),
        csv=f"/gaps.csv?{urlencode(asked.with_values(after=None, limit=None))}",
    )
    after = None if last is None else token(RangeKey.of(last))
    return render(
        request,
        "gaps.html",
        page,
        asked=asked,
        ranges=shown,
        now=now,
        asked_words=asked_words,
        due_words=due_words,
        following=None if after is None else urlencode(asked.with_values(after=after)),
    )


@router.get("/gaps.csv")
def gaps_csv(site: TheSite, asked: Annotated[GapList, Query()]) -> StreamingResponse:
    """The whole list as CSV."""

    def following(queries: Queries, last: MissingRow | None) -> list[MissingRow]:
        after = None if last is None else RangeKey.of(last)
        return queries.missing_page(closed=asked.closed, after=after, limit=PAGE)

    return csv_stream(site.readers, "gaps.csv", MissingRow._fields, following, tuple)
