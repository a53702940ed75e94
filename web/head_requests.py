"""Answers HEAD, with which monitors and load balancers ask: as GET does, without a body."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _HeadComplete(OSError):
    """The headers are sent; starlette ends a stream as if its client had gone."""


class HeadRequests:
    """Turns HEAD into GET for the application, which so knows each address once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does; a stream ends before its first piece."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        ended = False

        async def send_head(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.body" and message.get("more_body", False):
                if not ended:
                    ended = True
                    await send({"type": "http.response.body"})
                raise _HeadComplete
            await send(message)

        try:
            await self._app({**scope, "method": "GET"}, receive, send_head)
        except (ClientDisconnect, _HeadComplete):
            # Of a client that is really gone, the server itself knows.
            if not ended:
                raise
