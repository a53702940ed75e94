"""`/api/v1`: what the pages show, as JSON; each answer is what a command prints with `--json`."""

from importlib.metadata import version

from fastapi import FastAPI

from web.api import clients, history, site, top, topics

#: A router for each group of paths.
_ROUTERS = (site.router, clients.router, topics.router, top.router, history.router)


def add_api(app: FastAPI) -> None:
    """Add the paths of the API to the viewer; its OpenAPI document has no others."""
    described = FastAPI(
        title="statesys",
        version=version("statesys"),
        description="State messages of managed clients: what the pages show, as JSON.",
    )
    for router in _ROUTERS:
        app.include_router(router)
        described.include_router(router)
    app.openapi = described.openapi  # type: ignore[method-assign]
