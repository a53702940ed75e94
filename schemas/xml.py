"""The hardened XML parser: bytes in, a tree or the contract error out.

Dangerous features of XML are blocked twice. `utf8` refuses any DOCTYPE before libxml2 sees the
document, because libxml2 expands entities in attribute values regardless of `resolve_entities`,
and `huge_tree` lifts the limit on how far. The parser itself loads and resolves nothing. Only
UTF-8 and UTF-16 are read: the byte-order mark decides, not the XML declaration, so that no other
encoding can hide a DOCTYPE from the check.
"""

import re
import threading

from lxml import etree

from schemas.errors import Refused
from schemas.refusal import Reason

#: By the first two bytes: the byte-order mark, or where it is missing, the first letter.
_UTF16 = {
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}
_DOCTYPE = b"<!DOCTYPE"
_SPACE = b" \t\r\n"
#: C programs write it behind a string.
_NUL = b"\0"
#: What may come before the root element, except a DOCTYPE.
_BEFORE_ROOT = re.compile(rb"(?:\xef\xbb\xbf)*(?:[ \t\r\n]++|<!--.*?-->|<\?.*?\?>)*+", re.DOTALL)


class _Parsers(threading.local):
    """A parser for each thread: lxml locks a shared parser."""

    def __init__(self) -> None:
        self.own = etree.XMLParser(
            encoding="UTF-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            # Large text nodes are legal; the caller limits the size of the document.
            huge_tree=True,
            remove_comments=True,
            remove_pis=True,
            # libxml2 refuses a repeated xml:id: two valid reports with the same one would make
            # their batch unreadable.
            collect_ids=False,
            # Keeps a text in one piece. lxml joins pieces in quadratic time: a long text and
            # 59,000 CDATA sections behind it took ten seconds.
            strip_cdata=True,
        )


_parsers = _Parsers()


def text(body: bytes) -> str | None:
    """A document as text, without its byte-order mark; None where the bytes cannot be decoded."""
    encoding = _UTF16.get(body[:2])
    try:
        if encoding is None:
            return body.decode().removeprefix("\ufeff")
        # The codec "utf-16" removes the mark; a second mark stays.
        return body.decode(encoding)
    except UnicodeDecodeError:
        return None


def utf8(body: bytes, *, max_bytes: int) -> bytes:
    """A document as UTF-8, certain to have no DOCTYPE, and without the NUL that may end it.

    Args:
        body: UTF-8, or UTF-16 with or without a byte-order mark.
        max_bytes: refuse larger bodies unread.

    Raises:
        Refused: `too_large`, `doctype`, or `not_well_formed` for invalid UTF-16.
    """
    if len(body) > max_bytes:
        raise Refused(Reason.TOO_LARGE, f"{len(body)} bytes; at most {max_bytes} are read")
    encoding = _UTF16.get(body[:2])
    if encoding is not None:
        try:
            # Decoded here, not by libxml2, so that the DOCTYPE check sees UTF-8 only.
            body = body.decode(encoding).encode()
        except UnicodeDecodeError as error:
            raise Refused(Reason.NOT_WELL_FORMED, str(error)) from None
    body = _unterminated(body)
    # A DOCTYPE comes before the root element, where otherwise only white space, comments and
    # processing instructions may be. A second XML parser could not check this: two parsers differ
    # in what they accept (expat knows the names of XML 1.0's fourth edition, libxml2 those of the
    # fifth), and an error that stops the first one early would hide a DOCTYPE from it.
    if body.startswith(_DOCTYPE, _root_at(body)):
        raise Refused(Reason.DOCTYPE, "the document has a DOCTYPE")
    return body


def parse(body: bytes, *, max_bytes: int) -> etree._Element:
    """Parse a document.

    Args:
        body: as `utf8` takes it.
        max_bytes: refuse larger bodies unread.

    Returns:
        The root element, without comments and processing instructions.

    Raises:
        Refused: `too_large`, `doctype` or `not_well_formed`.
    """
    return parse_utf8(utf8(body, max_bytes=max_bytes))


def parse_utf8(document: bytes) -> etree._Element:
    """Parse a document that `utf8` returned.

    Raises:
        Refused: `doctype` or `not_well_formed`.
        MemoryError: there is not enough memory; the document may be valid.
    """
    try:
        root = etree.fromstring(document, _parsers.own)
    except (etree.XMLSyntaxError, ValueError) as error:
        if getattr(error, "code", None) == etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError("for an XML document") from None
        detail = str(error).strip() or "empty document"
        raise Refused(Reason.NOT_WELL_FORMED, detail[:500]) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Refused(Reason.DOCTYPE, "the document has a DOCTYPE")
    return root


def root_element(document: bytes) -> bytes:
    """The root element of a document that `parse_utf8` has read, as its sender wrote it.

    Rendering the tree again would cost half as much as parsing, and CDATA and `>` could grow four-
    or fivefold. Comments and instructions behind the root element stay: finding its end would need
    a parser, and `parse` ignores them anyway.
    """
    return document[_root_at(document) :].rstrip(_SPACE)


def _unterminated(document: bytes) -> bytes:
    """Cut one U+0000 behind the root, with or without white space; more stay an error."""
    root = document.rstrip(_SPACE + _NUL)
    return root if document.count(_NUL, len(root)) == 1 else document


def _root_at(document: bytes) -> int:
    found = _BEFORE_ROOT.match(document)
    assert found is not None
    return found.end()
