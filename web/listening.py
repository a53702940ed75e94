"""The address that the viewer listens at."""

import socket
from ipaddress import ip_address
from typing import NamedTuple

import click

from schemas.errors import SettingsError

#: Connections that wait to be taken.
_BACKLOG = 256
#: Milliseconds after which a browser that takes nothing of what is sent to it is disconnected.
_TAKES_NOTHING = 20_000


class Listen(NamedTuple):
    """A host, which is a name or an address, and a port; 0 means any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def bound(self) -> socket.socket:
        """Return a socket that listens at the address.

        Raises:
            SettingsError: the address cannot be used.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        made = socket.socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. The kernel drops slow ones: uvicorn waits for them for ever.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TAKES_NOTHING)
        try:
            made.bind((self.host, self.port))
            # Who reads the address in the log can connect, and is answered soon.
            made.listen(_BACKLOG)
        except OSError as error:
            made.close()
            raise SettingsError(
                f"cannot listen at {self.host}:{self.port}: {error.strerror}; choose another "
                "address with --listen HOST:PORT"
            ) from None
        return made

    @property
    def netloc(self) -> str:
        """The host as a URL has it."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def shown(self, bound: socket.socket) -> str:
        """Host and port of a URL."""
        return f"{self.netloc}:{bound.getsockname()[1]}"


class ListenType(click.ParamType[Listen]):
    """`HOST:PORT`; an IPv6 address stands in brackets."""

    name = "address"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Listen:
        """Read an address."""
        host, colon, port = str(value).rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (colon and host and port.isdecimal() and port.isascii() and int(port) < 65536):
            self.fail(f"{value!r} is no address; write it as 127.0.0.1:8080", param, ctx)
        return Listen(host, int(port))
