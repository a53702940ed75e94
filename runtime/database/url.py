"""The database's URL, read strictly before any library sees it.

libpq reads the host of `postgresql://user:pa@ss@host/name` as `ss@host`, and quotes that in its
error. A URL that could be read in two ways is refused here, with a message that quotes nothing
of it.
"""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from psycopg import pq

from runtime.database.settings import OURS, READ_ONLY, Setting
from runtime.urls import UnusableURL, host_and_port, require_host, strictly_split, why
from schemas.errors import SettingsError

#: Parameters that a session sets itself.
_OURS = {"client_encoding", "replication"}
#: Named by messages, unless the URL is of another variable.
_VARIABLE = "STATESYS_DATABASE_URL"
_SCHEMES = ("postgresql://", "postgres://")
#: `-c name=value` or `--name=value` in libpq's `options`, any number of them.
_OPTION = re.compile(r"(?:-c\s*|--)([\w.-]+)=((?:\\.|\S)*)\s*", re.ASCII)
#: Checked here, because libpq checks these only while it connects; its error would look like one
#: of the server.
_NUMBER = re.compile(r"-?\d{1,9}")
_VALUES = {
    "sslmode": re.compile("disable|allow|prefer|require|verify-ca|verify-full"),
    "sslnegotiation": re.compile("postgres|direct"),
    "gssencmode": re.compile("disable|prefer|require"),
    "channel_binding": re.compile("disable|prefer|require"),
    "load_balance_hosts": re.compile("disable|random"),
    "target_session_attrs": re.compile("any|read-write|read-only|primary|standby|prefer-standby"),
    "port": re.compile(r"\d{0,5}(,\d{0,5})*"),
    "keepalives": re.compile("[01]"),
    **dict.fromkeys(
        (
            "connect_timeout",
            "keepalives_idle",
            "keepalives_interval",
            "keepalives_count",
            "tcp_user_timeout",
        ),
        _NUMBER,
    ),
}


_OWN_SETTINGS = {**OURS, READ_ONLY: Setting(READ_ONLY, "off")}


class Target(NamedTuple):
    """A database as its URL names it.

    Attributes:
        parameters: for libpq, by its keywords.
        where: hosts and ports, for messages.
    """

    parameters: dict[str, str]
    where: str

    @property
    def secrets(self) -> list[str]:
        """Values that no message may contain."""
        found = (self.parameters.get(name) for name in ("password", "sslpassword"))
        return [secret for secret in found if secret]


def parsed(url: str, *, variable: str = _VARIABLE) -> Target:
    """Read a URL.

    Args:
        url: `postgresql://user:password@host:port/name?…`; several hosts with commas between.
        variable: that has it, for messages.

    Raises:
        SettingsError: the URL cannot be used, or has an option that every session sets itself.
    """
    try:
        found = _parsed(url)
        _require_values(found.parameters)
    except ValueError as error:
        raise SettingsError(
            f"{variable} cannot be used{why(error)}; write it as "
            "postgresql://user:password@host:5432/name, with %XX for special characters "
            "(%40 for @, %2F for /, %23 for #, %3F for ?, %25 for %)"
        ) from None
    _refuse_own_settings(found.parameters.get("options", ""), variable)
    return found


def require_usable(url: str, *, variable: str = _VARIABLE) -> None:
    """Refuse a URL that cannot be used, before anything begins.

    Args:
        variable: that has it, for messages.

    Raises:
        SettingsError: as `parsed`; or the URL names a file of passwords that cannot be read, which
            libpq would ignore silently.
    """
    file = parsed(url, variable=variable).parameters.get("passfile")
    if file is None:
        return
    try:
        with Path(file).open("rb"):
            pass
    except OSError:
        raise SettingsError(
            f"the passfile that {variable} names cannot be read; check path and rights"
        ) from None


def _parsed(url: str) -> Target:
    if not url.startswith(_SCHEMES):
        raise UnusableURL("another scheme")
    parts = strictly_split(url)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    if "/" in parts.path[1:]:
        raise UnusableURL("a slash in the name")
    user, _, password = userinfo.partition(":")
    addresses = [host_and_port(one) for one in hosts.split(",")] if hosts else []
    given = {
        "user": unquote(user, errors="strict"),
        "password": unquote(password, errors="strict"),
        "host": ",".join(host for host, _ in addresses),
        "port": ",".join(port for _, port in addresses),
        "dbname": unquote(parts.path[1:], errors="strict"),
    }
    parameters = {name: value for name, value in given.items() if value.strip(",")}
    for name, value in _query(parts.query):
        if name in parameters:
            raise UnusableURL(f"{name} is told twice")
        parameters[name] = value
    if any("\0" in value for value in parameters.values()):
        raise UnusableURL("a NUL")
    for host in parameters.get("host", "").split(","):
        # A name with such a beginning is a socket's directory or abstract name.
        if not host.startswith(("/", "@")):
            require_host(host)
    return Target(parameters, _where(parameters))


def _query(text: str) -> list[tuple[str, str]]:
    """Read parameters; refuse those that libpq does not know, because it would quote them."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    # For libpq a + is a plus, for `parse_qsl` a space.
    text = text.replace("+", "%2B")
    found = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    for name, _ in found:
        if name not in known:
            raise UnusableURL("it has a parameter that libpq does not know")
        if name in _OURS:
            raise UnusableURL(f"statesys itself decides {name}; leave it out")
    return found


def _require_values(parameters: dict[str, str]) -> None:
    """Refuse values that libpq would refuse, and a wrong number of ports or addresses."""
    for name, allowed in _VALUES.items():
        if name in parameters and not allowed.fullmatch(parameters[name]):
            raise UnusableURL(f"{name} cannot have that value")
    hosts = parameters.get("host", parameters.get("hostaddr", "")).count(",")
    for name, alone in (("hostaddr", False), ("port", True)):
        commas = parameters.get(name, "").count(",")
        if name in parameters and commas != hosts and not (alone and not commas):
            raise UnusableURL(f"{name} names another number of servers than host")


def _where(parameters: dict[str, str]) -> str:
    hosts = (parameters.get("host") or parameters.get("hostaddr", "")).split(",")
    ports = parameters.get("port", "").split(",")
    if not any(hosts):
        return "the address of its service or environment"
    if len(ports) != len(hosts):
        ports = ports[:1] * len(hosts)
    return ", ".join(f"{host}:{port or 5432}" for host, port in zip(hosts, ports, strict=True))


def _refuse_own_settings(options: str, variable: str) -> None:
    """Refuse options that we would override: none that a person writes is ignored silently."""
    found = list(_OPTION.finditer(options.strip()))
    if "".join(one[0] for one in found) != options.strip():
        raise SettingsError(
            f"{variable} has options other than `-c name=value`; write them like that, "
            "with a backslash before a space"
        )
    for name, value in (one.groups() for one in found):
        setting = _OWN_SETTINGS.get(name.lower().replace("-", "_"))
        if setting is not None and not setting.takes(value):
            raise SettingsError(
                f"{variable} sets {setting.name} in its options, which statesys sets "
                f"itself (to {setting.value}); leave it out"
            )
