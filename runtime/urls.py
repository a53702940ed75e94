"""URLs that hold a password, read strictly.

Libraries accept a special character that should have been written as %XX: part of the password
then becomes part of a host name, and their errors quote it.
"""

import re
from urllib.parse import SplitResult, urlsplit

#: What a URL may hold unencoded: RFC 3986's characters, without the fragment's `#`.
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")


class UnusableURL(ValueError):
    """Why a URL cannot be used; the message quotes nothing of it except names that we know."""


def strictly_split(url: str) -> SplitResult:
    """Split a URL; refuse one that could be read in two ways.

    Raises:
        UnusableURL: a character must be encoded, or there is an `@` too many.
        ValueError: `urlsplit` refuses the URL; its message may quote it.
    """
    if not _CHARACTERS.fullmatch(url):
        raise UnusableURL("a character must be encoded")
    parts = urlsplit(url)
    userinfo, at, _ = parts.netloc.rpartition("@")
    # A second @, or one after the host, is most likely part of a password.
    if "@" in userinfo + parts.path + parts.query or (at and not userinfo):
        raise UnusableURL("an @ must be encoded")
    return parts


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
