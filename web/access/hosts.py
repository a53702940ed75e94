"""Which names a browser may call the viewer by.

Without this check, a page of another site could give its own name this machine's address, and then
read the viewer as if it were of its own origin (DNS rebinding).
"""

import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from web.errors import answer

#: The names of the machine itself, for itself.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_NETLOC = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z_-]+(?:\.[0-9a-z_-]+)*)\.?(?::[0-9]{1,5})?")


def host_of(netloc: str) -> str:
    """The host of `host:port` in small letters; an IPv6 address stays in brackets.

    What is no `host:port` has the host "", which is nobody's.
    """
    found = _NETLOC.fullmatch(netloc.lower())
    return "" if found is None else found[1]


class KnownHosts:
    """Refuses requests whose Host header names another host.

    Args:
        hosts: allowed names, in small letters.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or with 421."""
        if scope["type"] == "http":
            given = Headers(scope=scope).getlist("host")
            host = host_of(given[0]) if len(given) == 1 else ""
            if not host or host not in self._hosts:
                refusal = answer(
                    Request(scope),
                    421,
                    f"This viewer is not {', '.join(given)[:255] or 'a host without a name'}: "
                    "start it with --host-name for each name that browsers call it by.",
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)
