"""`/live`: server-sent events for pages that are open."""

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from web.live import MOST, Live
from web.site import TheSite

router = APIRouter()


class _Events(StreamingResponse):
    """A stream of a page, counted as long as it is open."""

    def __init__(self, live: Live) -> None:
        super().__init__((), media_type="text/event-stream")
        self._live = live
        # For a proxy that collects answers before it sends them on.
        self.headers["X-Accel-Buffering"] = "no"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until the browser leaves or the viewer ends."""
        with self._live.stream() as events:
            self.body_iterator = events
            await super().__call__(scope, receive, send)


@router.get("/live")
async def live(site: TheSite) -> _Events:
    """What changes on open pages: an event for each part, with its HTML."""
    if site.live.full:
        raise HTTPException(503, f"{MOST} live pages are open already; this one can be reloaded")
    return _Events(site.live)
