"""TLS to the broker: the parameters of a URL, and the SSL context made from them.

The names are those of RabbitMQ's own URI parameters. A server's certificate and host name are
always checked; this cannot be switched off.
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
        cacertfile: trusted authorities; None means the system's.
        certfile: the client's certificate, with the intermediate ones.
        keyfile: its key; None when it is in `certfile`.
    """

    cacertfile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None


def divided(url: str) -> tuple[str, Files]:
    """Split a URL into the URL without TLS files, and the files.

    Raises:
        UnusableURL: a file is named twice, or a key without certificate, or the scheme is not TLS.
    """
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    named = [(name, value) for name, value in given if name in Files._fields]
    files = Files(**dict(named))
    if len(dict(named)) < len(named):
        raise UnusableURL("a file is named twice")
    # A person who names TLS files does not want a connection without TLS.
    if named and parts.scheme not in _SECURE:
        raise UnusableURL("it names files for TLS, and its scheme is without TLS")
    if files.keyfile is not None and files.certfile is None:
        raise UnusableURL("keyfile without certfile")
    rest = [(name, value) for name, value in given if name not in Files._fields]
    return parts._replace(query=urlencode(rest)).geturl() if named else url, files


def context(files: Files) -> ssl.SSLContext:
    """A context that checks certificate and host name.

    The files are read anew for each connection, so that a renewed certificate is used. A file that
    is missing may return, so the caller can try again.

    Raises:
        BrokerUnavailable: a file cannot be read, or is not a certificate or key.
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
    """The reason of the error, without the names of OpenSSL's source files."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    if error.reason == "WRONG_VERSION_NUMBER":
        return "it does not speak TLS there"
    return f"TLS: {(error.reason or 'failed').replace('_', ' ').lower()}"


def _no_password() -> str:
    """Fail: OpenSSL would ask at the terminal, and a worker has none."""
    raise ValueError("the key has a password")
