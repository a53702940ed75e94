"""`/messages`: the history, newest first, by client or by topic and state within a time."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from console.messages.search import MessagePage, search
from console.messages.view import COLUMNS, cells
from console.names import topic_name
from console.queries import Queries
from console.queries.messages import FoundMessage
from schemas.topics import topic_types
from web.csv_stream import PAGE, Part, csv_of_search
from web.message_search import MessageSearch
from web.page import Page, command_line, render
from web.site import Site, TheSite

router = APIRouter()

#: Seconds after which a live page asks for its rows again.
_EVERY = 2


class MessageList(MessageSearch):
    """The values of the page's URL."""

    live: bool = False


Asked = Annotated[MessageList, Query()]


@router.get("/messages")
def messages(request: Request, site: TheSite, asked: Asked) -> HTMLResponse:
    """A page of messages; with `live`, it follows what is loaded."""
    return _drawn(request, site, asked, "messages.html")


@router.get("/messages/rows")
def rows(request: Request, site: TheSite, asked: Asked) -> HTMLResponse:
    """The rows alone, for a live page."""
    return _drawn(request, site, asked, "message_rows.html")


@router.get("/messages.csv")
def messages_csv(site: TheSite, asked: Asked) -> StreamingResponse:
    """All messages that the search finds, as CSV."""
    now: datetime | None = None

    def following(queries: Queries, after: str | None) -> Part[FoundMessage, str]:
        # The time is that of the first search: a long list does not run after the clock.
        nonlocal now
        now = now or queries.now()
        wanted = asked.search._replace(after=after or asked.after, limit=PAGE)
        page = search(queries, wanted, now=now)
        return Part(page.messages, page.following)

    return csv_of_search(site.readers, "messages.csv", COLUMNS, following, cells)


def _drawn(request: Request, site: Site, asked: MessageList, template: str) -> HTMLResponse:
    def read() -> tuple[datetime, MessagePage]:
        with site.readers.snapshot() as queries:
            now = queries.now()
            return now, search(queries, asked.search, now=now)

    # Live pages with one search share one reading, however many they are.
    now, found = site.tails.get(asked, read) if asked.live else read()
    following = {} if found.following is None else {"after": found.following, "live": None}
    page = Page(
        title="Messages",
        command=_command(asked),
        as_of=now,
        csv=asked.url("/messages.csv", after=None, limit=None, live=None),
    )
    return render(
        request,
        template,
        page,
        asked=asked,
        found=found,
        live=asked.url("/messages/rows") if asked.live else None,
        every=_EVERY,
        stopped=asked.url("/messages", live=None),
        followed=asked.url("/messages", live=True, after=None, until=None),
        following=asked.url("/messages", **following) if following else None,
        whole_day=asked.url("/messages", within="1d", after=None),
        topics=[(number, topic_name(number)) for number in sorted(topic_types())],
    )


def _command(asked: MessageList) -> str:
    found = command_line("statesys messages", asked.with_values(live=None, after=None, limit=None))
    return f"{found} --follow" if asked.live else found
