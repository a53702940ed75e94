"""The hardened XML parser: bytes in, a tree or the contract error out.

What makes XML dangerous is switched off twice. Any DOCTYPE is refused before libxml2 sees the
document, because entities in attribute values are expanded while parsing whatever
`resolve_entities` says, and `huge_tree` lifts the limit on how far; and the parser itself loads
nothing and resolves nothing. Encodings other
than UTF-8 and UTF-16 are not read: the byte-order mark decides, not the XML declaration, so that
no exotic encoding hides a DOCTYPE from the search.
"""

import re
import threading

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
#: What may stand before the root element, a DOCTYPE left out.
_BEFORE_ROOT = re.compile(r"\ufeff*(?:[ \t\r\n]++|<!--.*?-->|<\?.*?\?>)*+", re.DOTALL)

#: CDATA sections that are kept as such. lxml joins the pieces of a text in quadratic time: 600,000
#: of them took 2.3 s. A report of 8 MiB has room for about 50,000 messages with one each.
_MANY_CDATA = 60_000
_CDATA = {
    "UTF-8": b"<![CDATA[",
    "UTF-16LE": "<![CDATA[".encode("utf-16-le"),
    "UTF-16BE": "<![CDATA[".encode("utf-16-be"),
}


class _Parsers(threading.local):
    """A parser of each encoding for each thread: lxml locks a parser that threads share."""

    def __init__(self) -> None:
        self.of = {
            (encoding, strip_cdata): etree.XMLParser(
                encoding=encoding,
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
                # CDATA stays CDATA when it is written again: escaped, it could grow fivefold.
                strip_cdata=strip_cdata,
            )
            for encoding in _MARKS
            for strip_cdata in (False, True)
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
    parser = _parsers.of[encoding, body.count(_CDATA[encoding]) > _MANY_CDATA]
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        detail = str(error).strip() or "empty document"
        raise Refused(Reason.NOT_WELL_FORMED, detail[:500]) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Refused(Reason.DOCTYPE, "the document has a DOCTYPE")
    return root


def _encoding(body: bytes) -> str:
    head = body[:2]
    if head in (_BOM_LE, b"<\0"):
        return "UTF-16LE"
    if head in (_BOM_BE, b"\0<"):
        return "UTF-16BE"
    return "UTF-8"


def _has_doctype(body: bytes, encoding: str) -> bool:
    """Tell a real DOCTYPE from the same letters in CDATA, a comment or an attribute.

    A DOCTYPE stands before the root element, where only white space, comments and processing
    instructions may be. No second XML parser is asked: two parsers differ in what they accept
    (expat knows the names of XML 1.0's fourth edition, libxml2 those of the fifth), and whatever
    stops the first one early would let the second read a DOCTYPE unseen.
    """
    text = body.decode(encoding, errors="replace")
    before_root = _BEFORE_ROOT.match(text)
    return before_root is not None and text.startswith(_DOCTYPE, before_root.end())
