"""Verifies names, passwords and tokens, so that guessing is slow and knowing is quick."""

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from hashlib import sha256
from ipaddress import IPv6Network, ip_address

import structlog
from starlette.concurrency import run_in_threadpool

from schemas.errors import StatesysError
from web.access.hashes import hash_password, hash_token, verify
from web.access.people import Person
from web.access.users import User, Users

_log = structlog.get_logger()

#: Seconds for which a verified login is remembered: a page asks for several files.
_REMEMBERED = 300.0
#: Logins that are remembered.
_MOST = 1000
#: Seconds that an address waits after a failed attempt, which is its only attempt meanwhile.
_AFTER_FAILURE = 1.0
#: Attempts of one address that wait for their turn; further ones are refused.
_WAITING = 8
#: Attempts of all addresses at the same time; each takes a core and 16 MiB.
_AT_ONCE = 2


class TooManyAttempts(StatesysError):
    """An address tries too many logins at the same time."""


class Logins:
    """Knows who a name with its password is, or a token.

    An address has one attempt at a time, and a failed one takes a second, so guessing goes no
    faster than that. A login that was verified before passes without an attempt, so guessers do
    not lock anybody out who works already.

    Args:
        users: the file of users.
    """

    def __init__(self, users: Users) -> None:
        self._users = users
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[float, User]] = OrderedDict()
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        # So that an unknown name takes as long as a known one.
        self._nobody = hash_password(secrets.token_urlsafe())

    async def find(self, name: str | None, secret: str, *, address: str) -> Person | None:
        """Return who this is; None for a wrong name, password or token.

        Args:
            name: None for a token alone, which tells the name.
            address: where the attempt comes from.

        Raises:
            TooManyAttempts: the address has too many attempts under way.
            SettingsError: the file of users cannot be used.
        """
        users = self._users.current()
        key = hmac.digest(self._key, f"{name}\0{secret}".encode(), sha256)
        if (person := self._remembered(key, users)) is not None:
            return person
        place = _place(address)
        lock, waiting = self._turns.get(place, (asyncio.Lock(), 0))
        if waiting >= _WAITING:
            raise TooManyAttempts("too many logins from this address; try again in some seconds")
        self._turns[place] = (lock, waiting + 1)
        try:
            async with lock:
                return await self._attempt(name, secret, key, users, address)
        finally:
            _, waiting = self._turns.pop(place)
            if waiting > 1:
                self._turns[place] = (lock, waiting - 1)

    async def _attempt(
        self, name: str | None, secret: str, key: bytes, users: dict[str, User], address: str
    ) -> Person | None:
        # Another attempt of this address may have verified the same login meanwhile.
        if (person := self._remembered(key, users)) is not None:
            return person
        user = _of_token(secret, users) if name is None else users.get(name)
        async with self._at_once:
            hashed = self._nobody if user is None else user.hashed
            right = await run_in_threadpool(verify, secret, hashed)
        if right and user is not None:
            self._known[key] = (time.monotonic() + _REMEMBERED, user)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
            return user.person
        # A name that is not ours may be a password in the wrong field.
        _log.warning(
            "web.login_refused",
            address=address,
            name=None if user is None else user.person.name,
        )
        await asyncio.sleep(_AFTER_FAILURE)
        return None

    def _remembered(self, key: bytes, users: dict[str, User]) -> Person | None:
        until, user = self._known.get(key, (0.0, None))
        if user is None:
            return None
        # A user who was removed, or has another role or password, has to log in again.
        if time.monotonic() > until or users.get(user.person.name) != user:
            del self._known[key]
            return None
        return user.person


def _of_token(token: str, users: dict[str, User]) -> User | None:
    hashed = hash_token(token)
    return next((user for user in users.values() if user.hashed == hashed), None)


def _place(address: str) -> str:
    """Whom to count attempts for: in IPv6 one machine has a whole network of addresses."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(IPv6Network((found, 64), strict=False))
