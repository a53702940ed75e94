"""Puts the viewer together: what it reads from, its pages, and what guards them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from web import actions, pages
from web.access.access import Access
from web.access.authentication import Authentication
from web.access.bodies import BoundedBodies
from web.access.hosts import KnownHosts
from web.api import add_api
from web.errors import add_error_pages
from web.head_requests import HeadRequests
from web.headers import SecurityHeaders
from web.page import STATIC
from web.site import Site


def create_app(site: Site, access: Access | None = None) -> FastAPI:
    """The viewer of a site, as an ASGI application.

    Args:
        site: what it reads from; closed when the application ends.
        access: who may see it and do what; by default, this machine may look.
    """
    access = access or Access()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            site.close()

    # No pages of the framework: theirs load scripts from elsewhere.
    app = FastAPI(
        title="statesys",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.site = site
    app.state.access = access
    for router in (*pages.ROUTERS, actions.router):
        app.include_router(router)
    add_api(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    add_error_pages(app)
    # The last one is the first that a request comes to.
    app.add_middleware(HeadRequests)
    app.add_middleware(BoundedBodies)
    app.add_middleware(Authentication, access=access)
    app.add_middleware(KnownHosts, hosts=access.hosts)
    app.add_middleware(SecurityHeaders)
    return app
