"""The flags and variables of `statesys web` that say who may see it and do what."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import click

from loader.quarantining import operator
from runtime.options import Decorator, together
from runtime.settings import PREFIX
from schemas.errors import SettingsError
from web.access.access import Access, Proxy, Tls
from web.access.hosts import LOOPBACK, host_of
from web.access.people import Person, Role
from web.access.users import Users
from web.listening import Listen

#: Settings of the viewer alone.
WEB = f"{PREFIX}WEB_"
_FILE = click.Path(path_type=Path, dir_okay=False)


class _AddressType(click.ParamType[IPv4Address | IPv6Address]):
    name = "address"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Address | IPv6Address:
        try:
            return ip_address(str(value))
        except ValueError:
            self.fail(f"{value!r} is no IP address", param, ctx)


def _option(name: str, text: str, **details: Any) -> Decorator:
    return click.option(
        f"--{name}",
        envvar=f"{WEB}{name.replace('-', '_').upper()}",
        show_envvar=True,
        help=text,
        **details,
    )


access_options = together(
    _option(
        "host-name",
        "A name that browsers call it by, beside the address it listens at; repeat for several.",
        multiple=True,
        metavar="NAME",
    ),
    _option("tls-certificate", "Its certificate chain, in PEM.", type=_FILE),
    _option("tls-key", "The key of the certificate, without a password.", type=_FILE),
    _option("behind-proxy", "A proxy in front of it has TLS.", is_flag=True),
    _option("users", "Who may log in; `statesys web-user` makes the file.", type=_FILE),
    _option(
        "proxy-user-header",
        "A header in which a proxy tells whom it has logged in, as X-Forwarded-User.",
        metavar="HEADER",
    ),
    _option(
        "trusted-proxy",
        "The address of that proxy; repeat for several.",
        multiple=True,
        type=_AddressType(),
        metavar="ADDRESS",
    ),
    _option(
        "operators",
        "A name from that header that may act, not only look; repeat for several.",
        multiple=True,
        metavar="NAME",
    ),
    _option(
        "allow-actions",
        "Everybody on this machine may act; without logins, on loopback only.",
        is_flag=True,
    ),
)


def access_from(
    listen: Listen,
    *,
    host_name: Sequence[str],
    tls_certificate: Path | None,
    tls_key: Path | None,
    behind_proxy: bool,
    users: Path | None,
    proxy_user_header: str | None,
    trusted_proxy: Sequence[IPv4Address | IPv6Address],
    operators: Sequence[str],
    allow_actions: bool,
) -> tuple[Access, Tls | None]:
    """Make and check what the flags say.

    Raises:
        SettingsError: they contradict each other, or would leave the site open to others.
    """
    for name in host_name:
        if not host_of(name):
            raise SettingsError(f"--host-name: {name!r} is no name of a host")
    access = Access(
        hosts=LOOPBACK | {host_of(listen.netloc), *map(host_of, host_name)},
        users=None if users is None else Users(users),
        proxy=_proxy(proxy_user_header, trusted_proxy, operators),
        anonymous=Person(operator(), Role.OPERATOR if allow_actions else Role.VIEWER),
        behind_proxy=behind_proxy,
    )
    tls = _tls(tls_certificate, tls_key)
    access.check(listen, tls)
    return access, tls


def _proxy(
    header: str | None, trusted: Sequence[IPv4Address | IPv6Address], operators: Sequence[str]
) -> Proxy | None:
    if header is None:
        if trusted or operators:
            raise SettingsError(
                "--trusted-proxy and --operators belong to --proxy-user-header, which is not given"
            )
        return None
    if not trusted:
        raise SettingsError(
            "--proxy-user-header needs --trusted-proxy: anybody else could send the header too"
        )
    return Proxy(
        header=header.lower(), addresses=frozenset(trusted), operators=frozenset(operators)
    )


def _tls(certificate: Path | None, key: Path | None) -> Tls | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SettingsError("--tls-certificate and --tls-key belong together: give both or neither")
    tls = Tls(certificate=certificate, key=key)
    tls.check()
    return tls
