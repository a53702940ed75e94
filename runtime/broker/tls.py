"""TLS to the broker: what a URL says about it, and the context that follows.

The names are those of RabbitMQ's own URI parameters. A server's certificate and host name are
always checked: there is no way to switch that off.
"""

import ssl
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from runtime.urls import UnusableURL
from schemas.errors import BrokerUnavailable

#: Schemes that mean TLS.
_SECURE = ("amqps", "https")


class Files(NamedTuple):
    """Paths of PEM files.

    Attributes:
        cacertfile: authorities that are trusted; None means the system's.
        certfile: the client's certificate, with those between it and its authority.
        keyfile: its key; None when it is in `certfile`.
    """

    cacertfile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None


def divided(url: str) -> tuple[str, Files]:
    """A URL without the TLS files that it names, and the files.

    Raises:
        UnusableURL: a file is named twice or alone, or there is no TLS in the URL.
    """
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    named = [(name, value) for name, value in given if name in Files._fields]
    files = Files(**dict(named))
    if len(dict(named)) < len(named):
        raise UnusableURL("a file is named twice")
    # Whoever names an authority does not want to be without it.
    if named and parts.scheme not in _SECURE:
        raise UnusableURL("it names files for TLS, and its scheme is without TLS")
    if files.keyfile is not None and files.certfile is None:
        raise UnusableURL("keyfile without certfile")
    rest = [(name, value) for name, value in given if name not in Files._fields]
    return parts._replace(query=urlencode(rest)).geturl() if named else url, files


def context(files: Files) -> ssl.SSLContext:
    """A context that checks certificate and host name.

    The files are read anew for each connection, so that a renewed certificate is used. One that is
    not there at the moment is a trouble of the moment.

    Raises:
        BrokerUnavailable: a file cannot be read, or is no certificate or key.
    """
    wanted = files.cacertfile
    try:
        made = ssl.create_default_context(cafile=files.cacertfile)
        if files.certfile is not None:
            wanted = files.certfile if files.keyfile is None else f"{files.certfile}, its key"
            made.load_cert_chain(files.certfile, files.keyfile, password=_no_password)
    except (OSError, ValueError) as error:
        what = str(error)
        if isinstance(error, ssl.SSLError):
            what = words(error)
        elif isinstance(error, OSError) and error.strerror:
            what = error.strerror.lower()
        raise BrokerUnavailable(
            f"RabbitMQ's TLS: {wanted} cannot be used ({what}); check the files that "
            "STATESYS_AMQP_URL names"
        ) from None
    return made


def words(error: ssl.SSLError) -> str:
    """What went wrong, without the names of OpenSSL's source files."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    if error.reason == "WRONG_VERSION_NUMBER":
        return "it does not speak TLS there"
    return f"TLS: {(error.reason or 'failed').replace('_', ' ').lower()}"


def _no_password() -> str:
    """OpenSSL would ask at the terminal, and a worker has none."""
    raise ValueError("the key has a password")
