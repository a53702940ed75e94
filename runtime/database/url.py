"""The database's URL, read strictly before any library sees it.

libpq is generous: it takes `postgresql://user:pa@ss@host/name` for the host `ss@host`, and quotes
that in its error. A URL that could be read in two ways is refused here, in words that quote
nothing of it.
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from psycopg import pq

from runtime.database.settings import OURS, Setting
from runtime.urls import strictly_split
from schemas.errors import SettingsError

#: A session's own.
_OURS = {"client_encoding", "replication"}
_SCHEMES = ("postgresql://", "postgres://")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(\d*))?")
#: `-c name=value` or `--name=value` in libpq's `options`.
_OPTION = re.compile(r"(?:-c\s*|--)([\w.-]+)\s*=\s*(\S*)")


class Target(NamedTuple):
    """A database as its URL names it.

    Attributes:
        parameters: for libpq, by its keywords.
        where: hosts and ports, for messages; empty when the URL leaves them to the environment.
    """

    parameters: dict[str, str]
    where: str

    @property
    def secrets(self) -> list[str]:
        """What no message may hold."""
        found = (self.parameters.get(name) for name in ("password", "sslpassword"))
        return [secret for secret in found if secret]


def parsed(url: str) -> Target:
    """Read a URL.

    Args:
        url: `postgresql://user:password@host:port/name?…`; several hosts with commas between.

    Raises:
        SettingsError: it cannot be used, or names a setting that every session sets itself.
    """
    try:
        found = _parsed(url)
    except ValueError:
        raise unusable_database_url() from None
    _refuse_own_settings(found.parameters.get("options", ""))
    return found


def unusable_database_url() -> SettingsError:
    """What a person is told, without a word of the URL."""
    return SettingsError(
        "STATESYS_DATABASE_URL cannot be used; write it as "
        "postgresql://user:password@host:5432/name, with %XX for special characters "
        "(%40 for @, %2F for /, %23 for #, %3F for ?, %25 for %)"
    )


def _parsed(url: str) -> Target:
    if not url.startswith(_SCHEMES):
        raise ValueError("not a URL of PostgreSQL")
    parts = strictly_split(url)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    if "/" in parts.path[1:]:
        raise ValueError("a slash in the name")
    user, _, password = userinfo.partition(":")
    addresses = [_address(one) for one in hosts.split(",")] if hosts else []
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
            raise ValueError("told twice")
        parameters[name] = value
    if any("\0" in value for value in parameters.values()):
        raise ValueError("a NUL")
    return Target(parameters, _where(parameters))


def _address(text: str) -> tuple[str, str]:
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError("no host and port")
    port = found[2] or ""
    if port and not 0 < int(port) < 65536:
        raise ValueError("no port")
    return unquote(found[1].strip("[]"), errors="strict"), port


def _query(text: str) -> list[tuple[str, str]]:
    """Parameters that libpq knows; it quotes those that it does not."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()} - _OURS
    # libpq's + is no space.
    text = text.replace("+", "%2B")
    found = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    if any(name not in known for name, _ in found):
        raise ValueError("an unknown parameter")
    return found


def _where(parameters: dict[str, str]) -> str:
    hosts = parameters.get("host", "").split(",")
    ports = parameters.get("port", "").split(",")
    if not any(hosts):
        return ""
    if len(ports) != len(hosts):
        ports = ports[:1] * len(hosts)
    return ", ".join(f"{host}:{port or 5432}" for host, port in zip(hosts, ports, strict=True))


def _refuse_own_settings(options: str) -> None:
    """What a person writes into the URL is honoured or refused, never overruled in silence."""
    for name, value in _OPTION.findall(options):
        setting: Setting | None = OURS.get(name.lower().replace("-", "_"))
        if setting is not None and not setting.takes(value.strip("'\"")):
            raise SettingsError(
                f"STATESYS_DATABASE_URL sets {setting.name} in its options, which statesys sets "
                f"itself (to {setting.value}); leave it out"
            )
