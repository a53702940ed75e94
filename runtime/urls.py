"""URLs that hold a password, read strictly.

Libraries accept a special character that should have been written as %XX: part of the password
then becomes part of a host name, and their errors quote it.
"""

import re
from urllib.parse import SplitResult, unquote

#: What a URL may hold unencoded: RFC 3986's characters, without the fragment's `#`.
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")


#: The parts of a URL, as RFC 3986 (appendix B) cuts them. `urlsplit` knows one host: later versions
#: of Python refuse an IPv6 address behind a comma.
_PARTS = re.compile(r"(?:([^:/?]+):)?(?://([^/?]*))?([^?]*)(?:\?(.*))?")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(\d*))?")


class UnusableURL(ValueError):
    """Why a URL cannot be used; the message quotes nothing of it except names that we know."""


def strictly_split(url: str) -> SplitResult:
    """Split a URL; refuse one that could be read in two ways.

    Its `netloc` may name several hosts, with commas between them.

    Raises:
        UnusableURL: a character must be encoded, there is an `@` too many, or a host or port is
            none.
    """
    if not _CHARACTERS.fullmatch(url):
        raise UnusableURL("a character must be encoded")
    found = _PARTS.fullmatch(url)
    scheme, netloc, path, query = (part or "" for part in found.groups()) if found else ("",) * 4
    parts = SplitResult(scheme.lower(), netloc, path, query, "")
    userinfo, at, hosts = parts.netloc.rpartition("@")
    # A second @, or one after the host, is most likely part of a password.
    if "@" in userinfo + parts.path + parts.query or (at and not userinfo):
        raise UnusableURL("an @ must be encoded")
    for text in hosts.split(","):
        host_and_port(text)
    return parts


def host_and_port(text: str) -> tuple[str, str]:
    """Host and port of one of the hosts, the port empty if there is none.

    Raises:
        UnusableURL: the text is something else.
    """
    found = _HOST.fullmatch(text)
    if found is None:
        raise UnusableURL("what stands for a host and port is none")
    port = found[2] or ""
    if port and not 0 < int(port) < 65536:
        raise UnusableURL("a port is none")
    return unquote(found[1].strip("[]"), errors="strict"), port


def require_host(name: str) -> None:
    """Refuse a host name that cannot be resolved, such as one with an empty part.

    Raises:
        UnusableURL: it is not a host name.
    """
    try:
        name.encode("idna")
    except UnicodeError:
        raise UnusableURL("what stands for a host is none") from None


def why(error: Exception) -> str:
    """The reason in brackets; empty if the error's text may quote the URL."""
    return f" ({error})" if isinstance(error, UnusableURL) else ""
