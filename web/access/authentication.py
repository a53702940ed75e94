"""Finds out who asks, before anything answers."""

import base64
import binascii
from collections.abc import Mapping

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.errors import StatesysError
from web.access.access import Access
from web.access.logins import Logins, TooManyAttempts
from web.access.people import Person
from web.errors import answer

_log = structlog.get_logger()

#: Characters of a name or secret that somebody sends.
_LONGEST = 1024
#: How browsers and programs are asked to log in.
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="statesys", charset="UTF-8"'}


class _Denied(Exception):
    """Who asks is not let in."""

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.headers = dict(headers or {})


class Authentication:
    """Lets in whom `Access` knows, and notes the person as `request.state.person`."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access
        self._logins = None if access.users is None else Logins(access.users)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or with 401, 403, 429 or 503."""
        if scope["type"] == "http":
            try:
                person = await self._person(Headers(scope=scope), _address(scope))
            except _Denied as denied:
                refusal = answer(Request(scope), denied.status, denied.why, denied.headers)
                await refusal(scope, receive, send)
                return
            scope.setdefault("state", {})["person"] = person
        await self._app(scope, receive, send)

    async def _person(self, headers: Headers, address: str) -> Person:
        access = self._access
        if not access.authenticates:
            return access.anonymous
        if access.proxy is not None and (names := headers.getlist(access.proxy.header)):
            if not access.proxy.trusts(address):
                why = f"the header {access.proxy.header} is believed from the proxy alone"
                raise _Denied(403, why)
            if len(names) != 1 or not 0 < len(names[0]) <= 255 or not names[0].isprintable():
                raise _Denied(403, f"the header {access.proxy.header} names no person")
            return access.proxy.person(names[0])
        if self._logins is None:
            raise _Denied(401, "Open the viewer through its proxy, which logs you in.")
        return await self._logged_in(self._logins, headers.getlist("authorization"), address)

    async def _logged_in(self, logins: Logins, given: list[str], address: str) -> Person:
        name, secret = _credentials(given)
        try:
            person = await logins.find(name, secret, address=address)
        except TooManyAttempts as error:
            raise _Denied(429, str(error), {"Retry-After": "10"}) from None
        except StatesysError as error:
            # Strangers read the answer, so only the log says what is wrong.
            _log.error("web.users_unusable", why=str(error))
            raise _Denied(503, "the users cannot be read; the viewer's log says why") from None
        if person is None:
            raise _Denied(401, "The name, the password or the token is wrong.", _CHALLENGE)
        return person


def _credentials(given: list[str]) -> tuple[str | None, str]:
    """Name and password, or None and a token."""
    scheme, _, value = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    name: str | None = None
    secret = ""
    if len(value) <= _LONGEST and scheme.lower() == "bearer":
        secret = value.strip()
    elif len(value) <= _LONGEST and scheme.lower() == "basic":
        try:
            text = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""
        name, _, secret = text.partition(":")
    if not secret:
        raise _Denied(401, "Log in with your name and password, or with a token.", _CHALLENGE)
    return name, secret


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
