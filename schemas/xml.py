"""The hardened XML parser: bytes in, a tree or the contract error out.

What makes XML dangerous is switched off twice. Any DOCTYPE is refused before libxml2 sees the
document, because entities in attribute values are expanded while parsing whatever
`resolve_entities` says, and `huge_tree` lifts the limit on how far; and the parser itself loads
nothing and resolves nothing. Encodings other than UTF-8 and UTF-16 are not read: the byte-order
mark decides, not the XML declaration, so that no exotic encoding hides a DOCTYPE from the search.
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
#: What a C program writes behind a string.
_NUL = b"\0"
#: What may stand before the root element, a DOCTYPE left out.
_BEFORE_ROOT = re.compile(rb"(?:\xef\xbb\xbf)*(?:[ \t\r\n]++|<!--.*?-->|<\?.*?\?>)*+", re.DOTALL)


class _Parsers(threading.local):
    """A parser for each thread: lxml locks one that threads share."""

    def __init__(self) -> None:
        self.own = etree.XMLParser(
            encoding="UTF-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            # Large text nodes are legal; the caller limits the size of the whole.
            huge_tree=True,
            remove_comments=True,
            remove_pis=True,
            # A repeated xml:id is an error of the document; two harmless reports in one
            # batch would make the batch unreadable.
            collect_ids=False,
            # A text is one piece then. lxml joins pieces in quadratic time: a long text and
            # 59,000 CDATA sections behind it took ten seconds.
            strip_cdata=True,
        )


_parsers = _Parsers()


def text(body: bytes) -> str | None:
    """A document as text, without its byte-order mark; None where the bytes are no letters."""
    encoding = _UTF16.get(body[:2])
    try:
        if encoding is None:
            return body.decode().removeprefix("\ufeff")
        # The codec takes the mark off, and what stands behind it is kept.
        return body.decode(encoding)
    except UnicodeDecodeError:
        return None


def utf8(body: bytes, *, max_bytes: int) -> bytes:
    """A document as UTF-8, certain to have no DOCTYPE, and without the NUL that may end it.

    Args:
        body: UTF-8, or UTF-16 with a byte-order mark (a missing one is forgiven).
        max_bytes: refuse larger bodies unread.

    Raises:
        Refused: `too_large`, `doctype`, or `not_well_formed` for what is no UTF-16.
    """
    if len(body) > max_bytes:
        raise Refused(Reason.TOO_LARGE, f"{len(body)} bytes; at most {max_bytes} are read")
    encoding = _UTF16.get(body[:2])
    if encoding is not None:
        try:
            # Not left to libxml2, so that there is one encoding in which a DOCTYPE can hide.
            body = body.decode(encoding).encode()
        except UnicodeDecodeError as error:
            raise Refused(Reason.NOT_WELL_FORMED, str(error)) from None
    body = _unterminated(body)
    # A DOCTYPE stands before the root element, where only white space, comments and processing
    # instructions may be. No second XML parser is asked: two parsers differ in what they accept
    # (expat knows the names of XML 1.0's fourth edition, libxml2 those of the fifth), and
    # whatever stops the first one early would let the second read a DOCTYPE unseen.
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
    """Parse what `utf8` returned.

    Raises:
        Refused: `doctype` or `not_well_formed`.
        MemoryError: there is not enough; the document may be a good one.
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

    Written anew it would cost half as much as parsing did, and CDATA and `>` could grow four- or
    fivefold. So comments and instructions that follow are still behind it: to find its end, what
    they hold would have to be told apart from it, and `parse` leaves them out anywhere.
    """
    return document[_root_at(document) :].rstrip(_SPACE)


def _unterminated(document: bytes) -> bytes:
    """Cut one U+0000 behind the root, white space around it or not; more of them stay an error."""
    root = document.rstrip(_SPACE + _NUL)
    return root if document.count(_NUL, len(root)) == 1 else document


def _root_at(document: bytes) -> int:
    found = _BEFORE_ROOT.match(document)
    assert found is not None
    return found.end()
