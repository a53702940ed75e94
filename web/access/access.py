"""Who may see the viewer and do what, as one value, checked before the viewer starts."""

import hmac
import secrets
import ssl
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from schemas.errors import SettingsError
from web.access.hosts import LOOPBACK
from web.access.people import Person, Role
from web.access.users import Users
from web.listening import Listen

#: Without logins, and without a name for them.
_ANYBODY = Person("anybody here", Role.VIEWER)


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy that logs people in, and tells their names in a header.

    Attributes:
        header: its name, in small letters.
        addresses: the header is believed from these alone.
        operators: names that get the role operator.
    """

    header: str
    addresses: frozenset[IPv4Address | IPv6Address]
    operators: frozenset[str]

    def trusts(self, address: str) -> bool:
        """Whether a connection comes from the proxy."""
        try:
            return ip_address(address) in self.addresses
        except ValueError:
            return False

    def person(self, name: str) -> Person:
        """The person whom the proxy logged in."""
        return Person(name, Role.OPERATOR if name in self.operators else Role.VIEWER)


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Certificate chain and key, as files in PEM."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Check that the files can be used.

        Raises:
            SettingsError: they cannot.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # Without a password, OpenSSL would ask the terminal for one.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise SettingsError(
                f"the certificate {self.certificate} with the key {self.key} cannot be used: "
                f"{why}; both are files in PEM, the key without a password"
            ) from None


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may see the viewer and do what. The default: this machine may look.

    Attributes:
        hosts: names by which browsers may call the viewer.
        users: who logs in with a password or token; None if nobody does.
        proxy: who logs people in; None if nobody does.
        anonymous: who everybody is, if neither is there.
        behind_proxy: TLS ends at a proxy.
        key: of this process, for the forms of actions.
    """

    hosts: frozenset[str] = LOOPBACK
    users: Users | None = None
    proxy: Proxy | None = None
    anonymous: Person = _ANYBODY
    behind_proxy: bool = False
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def authenticates(self) -> bool:
        """Whether people have to log in."""
        return self.users is not None or self.proxy is not None

    def form_token(self, person: Person) -> str:
        """What a form of this person carries, so that other sites cannot send it (CSRF)."""
        return hmac.digest(self.key, person.name.encode(), sha256).hex()

    def is_form_token(self, token: str, person: Person) -> bool:
        """Whether a form was made for this person, by this process."""
        return hmac.compare_digest(token.encode(), self.form_token(person).encode())

    def check(self, listen: Listen, tls: Tls | None) -> None:
        """Refuse what would leave the site open to others.

        Raises:
            SettingsError: others could connect without a login, or without TLS.
        """
        if self.authenticates and self.anonymous.may_act:
            raise SettingsError(
                "--allow-actions is for a viewer without logins; give single users the role "
                "operator instead"
            )
        if tls is not None and self.behind_proxy:
            raise SettingsError("give either --tls-certificate or --behind-proxy: where TLS ends")
        reachable = not listen.loopback or self.behind_proxy
        if reachable and not self.authenticates:
            raise SettingsError(
                f"others can reach {'the proxy' if self.behind_proxy else listen.host}, so people "
                "have to log in: give --users FILE, or --proxy-user-header with --trusted-proxy"
            )
        if not listen.loopback and tls is None and not self.behind_proxy:
            raise SettingsError(
                f"others can reach {listen.host}, and would send passwords that everybody on the "
                "way can read: give --tls-certificate and --tls-key, or --behind-proxy if a proxy "
                "in front of it has TLS"
            )
