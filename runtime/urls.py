"""URLs that hold a password, read strictly.

Libraries are generous with a special character that should have been written as %XX: part of the
password then becomes part of a host name, and their errors quote it.
"""

import re
from urllib.parse import SplitResult, urlsplit

#: What a URL may hold unencoded: RFC 3986's characters, without the fragment's `#`.
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")


class UnusableURL(ValueError):
    """Why a URL cannot be used, in words that quote nothing of it but names that we know."""


def strictly_split(url: str) -> SplitResult:
    """The parts of a URL that can be read in one way only.

    Raises:
        UnusableURL: a character must be encoded, or an `@` stands where none belongs.
        ValueError: the same for what `urlsplit` refuses, in words that may quote it.
    """
    if not _CHARACTERS.fullmatch(url):
        raise UnusableURL("a character must be encoded")
    parts = urlsplit(url)
    userinfo, at, _ = parts.netloc.rpartition("@")
    # A second @, or one behind the host, is most likely part of a password.
    if "@" in userinfo + parts.path + parts.query or (at and not userinfo):
        raise UnusableURL("an @ must be encoded")
    return parts


def require_host(name: str) -> None:
    """Refuse a name for which no resolver can be asked, such as one with an empty part.

    Raises:
        UnusableURL: it is none.
    """
    try:
        name.encode("idna")
    except UnicodeError:
        raise UnusableURL("what stands for a host is none") from None


def why(error: Exception) -> str:
    """The reason in brackets, where it may be told."""
    return f" ({error})" if isinstance(error, UnusableURL) else ""
