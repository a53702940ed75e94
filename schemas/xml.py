"""The hardened XML parser: bytes in, a tree or the contract error out.

What makes XML dangerous is switched off twice. Any DOCTYPE is refused before libxml2 sees the
document, because entities in attribute values are expanded while parsing whatever
`resolve_entities` says; and the parser itself loads nothing and resolves nothing. Encodings other
than UTF-8 and UTF-16 are not read: the byte-order mark decides, not the XML declaration, so that
no exotic encoding hides a DOCTYPE from the search.
"""

import threading
from xml.parsers import expat

from lxml import etree

from schemas.errors import Refused
from schemas.refusal import Reason

_BOM_LE, _BOM_BE = b"\xff\xfe", b"\xfe\xff"
_DOCTYPE = "<!DOCTYPE"
_MARKS = {
    "UTF-8": _DOCTYPE.encode(),
    "UTF-16LE": _DOCTYPE.encode("utf-16-le"),
    "UTF-16BE": _DOCTYPE.encode("utf-16-be"),
}


class _Parsers(threading.local):
    """A parser of each encoding for each thread: lxml locks a parser that threads share."""

    def __init__(self) -> None:
        self.of = {
            encoding: etree.XMLParser(
                encoding=encoding,
                resolve_entities=False,
                no_network=True,
                load_dtd=False,
                # Large text nodes are legal; the caller limits the size of the whole.
                huge_tree=True,
                remove_comments=True,
                remove_pis=True,
                # CDATA stays CDATA when it is written again: escaped, it could grow fivefold.
                strip_cdata=False,
            )
            for encoding in _MARKS
        }


_parsers = _Parsers()


def parse(body: bytes, *, max_bytes: int) -> etree._Element:
    """Parse a document.

    Args:
        body: UTF-8, or UTF-16 with a byte-order mark (a missing one is forgiven).
        max_bytes: refuse larger bodies unread.

    Returns:
        The root element, without comments and processing instructions.

    Raises:
        Refused: `too_large`, `doctype` or `not_well_formed`.
    """
    if len(body) > max_bytes:
        raise Refused(Reason.TOO_LARGE, f"{len(body)} bytes; at most {max_bytes} are read")
    encoding = _encoding(body)
    if body[:2] in (_BOM_LE, _BOM_BE):
        body = body[2:]
    if _MARKS[encoding] in body and _has_doctype(body, encoding):
        raise Refused(Reason.DOCTYPE, "the document has a DOCTYPE")
    try:
        return etree.fromstring(body, _parsers.of[encoding])
    except (etree.XMLSyntaxError, ValueError) as error:
        detail = str(error).strip() or "empty document"
        raise Refused(Reason.NOT_WELL_FORMED, detail[:500]) from None


def _encoding(body: bytes) -> str:
    head = body[:2]
    if head in (_BOM_LE, b"<\0"):
        return "UTF-16LE"
    if head in (_BOM_BE, b"\0<"):
        return "UTF-16BE"
    return "UTF-8"


class _DoctypeSeen(Exception):
    pass


def _has_doctype(body: bytes, encoding: str) -> bool:
    """Tell a real DOCTYPE from the same letters in CDATA or a comment.

    Expat stops at the declaration's name, before any entity of it is read.
    """

    def seen(*_: object) -> None:
        raise _DoctypeSeen

    parser = expat.ParserCreate(encoding)
    parser.StartDoctypeDeclHandler = seen
    try:
        parser.Parse(body, True)  # noqa: FBT003 (expat's own signature)
    except _DoctypeSeen:
        return True
    except expat.ExpatError:
        # Broken before any DOCTYPE; libxml2 will say where.
        return False
    return False
