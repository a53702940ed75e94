"""What every route of the viewer keeps to."""

import asyncio

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import BaseRoute
from starlette.types import Message
from structlog.testing import capture_logs

from runtime.settings import load_settings
from web.access.forms import _guarded
from web.app import create_app
from web.headers import HEADERS
from web.site import Site

URL = "postgresql://u:p@127.0.0.1:1/d"


def routes(app: FastAPI) -> list[BaseRoute]:
    found: list[BaseRoute] = []
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop()
        # Newer versions of FastAPI keep an included router as one route.
        inner = getattr(route, "original_router", None)
        if inner is not None:
            waiting += inner.routes
        else:
            found.append(route)
    return found


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Site(load_settings(database_url=URL, amqp_url="amqp://u:p@127.0.0.1/")))


@pytest.fixture(scope="module")
def broken(app: FastAPI) -> FastAPI:
    """One with two routes that fail."""

    @app.get("/broken")
    @app.get("/api/broken")
    def fail() -> None:
        raise ZeroDivisionError

    return app


@pytest.mark.parametrize("path", ["/broken", "/api/broken"])
def test_a_defect_is_told_with_the_headers_of_every_answer(broken: FastAPI, path: str) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(told: Message) -> None:
        sent.append(told)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    # The server logs what it raises once more.
    with capture_logs() as logged, pytest.raises(ZeroDivisionError):
        asyncio.run(broken(scope, receive, send))
    assert [one["event"] for one in logged] == ["web.failed"]
    assert sent[0]["status"] == 500
    assert b"its log says how" in sent[1]["body"]
    headers = Headers(raw=sent[0]["headers"])
    assert {name: headers.get(name) for name in HEADERS} == HEADERS


def test_whatever_changes_something_is_guarded(app: FastAPI) -> None:
    changing = {
        route.path: [one.call for one in route.dependant.dependencies]
        for route in routes(app)
        if isinstance(route, APIRoute) and (route.methods or set()) - {"GET", "HEAD"}
    }
    assert len(changing) == 7
    for path, calls in changing.items():
        assert path.startswith("/actions/")
        assert _guarded in calls, path
