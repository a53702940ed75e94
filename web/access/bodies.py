"""Bounds what a request may bring: the forms of actions are small."""

import asyncio

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.errors import answer

#: Bytes of a body.
LARGEST_BODY = 64 * 1024
#: Seconds in which it has to arrive.
_PATIENCE = 15.0
#: The rest of such a request is not read.
_CLOSE = {"Connection": "close"}


class BoundedBodies:
    """Reads the body of a request before the application sees the request.

    So no thread and no database session waits for a slow client.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or with 413 or 408."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            await self._app(scope, receive, send)
            return
        body = b""
        status, why = 413, f"a request may have {LARGEST_BODY // 1024} KiB"
        if int(headers.get("content-length", "0")) <= LARGEST_BODY:
            try:
                async with asyncio.timeout(_PATIENCE):
                    body = await _read(receive)
            except TimeoutError:
                status, why = 408, "the request did not arrive in time"
                body = b" " * (LARGEST_BODY + 1)
            if len(body) <= LARGEST_BODY:
                await self._app(scope, _replayed(body, receive), send)
                return
        await answer(Request(scope), status, why, _CLOSE)(scope, receive, send)


async def _read(receive: Receive) -> bytes:
    """The body; no more than a piece beyond the bound."""
    body = b""
    while len(body) <= LARGEST_BODY:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            break
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def first() -> Message:
        return given.pop() if given else await receive()

    return first
