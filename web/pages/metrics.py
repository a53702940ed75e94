"""`/metrics`: what Prometheus scrapes."""

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client.exposition import choose_encoder

from web.site import TheSite

router = APIRouter()

#: Threads of its own: an alert must not depend on how many read pages.
_THREADS = CapacityLimiter(2)


@router.get("/metrics")
async def metrics(request: Request, site: TheSite) -> Response:
    """The metrics of the site, in the format that the scraper asks for."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    text = await to_thread.run_sync(encode, site.metrics, limiter=_THREADS)
    return Response(text, headers={"Content-Type": content_type})
