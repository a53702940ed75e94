"""Mutations of a document: tables of changes to its text and of damage to its bytes.

One seeded random generator decides everything, so seed and number identify an input.
"""

import re
from collections.abc import Callable, Mapping
from random import Random

#: Changes a text; the last argument is a document to take pieces from.
Change = Callable[[str, Random, str], str]
#: Damages bytes; the last argument is a document to take pieces from.
Damage = Callable[[bytes, Random, bytes], bytes]

_TAG = re.compile(r"<[^<>]*>")
_ATTRIBUTE = re.compile(r"""\s([\w:]+)=("[^"]*"|'[^']*')""")
_TEXT = re.compile(r"(?<=>)[^<>]+(?=<)")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_ELEMENTS = (
    *("Report", "ReportHeader", "Identification", "Machine", "ReportDetails", "ReportBody"),
    *("ClientID", "NetBIOSName", "ClientVersion", "Date", "Resync", "Priority", "StateMessage"),
    *("Topic", "State", "UserParameters", "Param", "StateDetails", "Batch", "SMX"),
    *("ResyncRequest", "MissingRange", "Unknown", "xml", "a:b", "_", "Ä"),
)
_ATTRIBUTES = (
    *("ID", "Type", "IDType", "User", "UserSID", "SerialNumber", "MessageTime", "Criticality"),
    *("RequestID", "FirstSerial", "LastSerial", "ReceivedAt", "ForwardedAt", "ReplyTo"),
    *("ClientID", "Reason", "HighestSerial", "RequestedAt", "First", "Last", "More"),
    *("xmlns", "xmlns:a", "xmlns:xml", "a:ID", "xml:id", "xml:space", "xml:base", "xsi:nil", "Ö"),
)
#: Values at or beyond the limits of numbers, dates, GUIDs and names, written as in XML.
_VALUES = (
    *("", " ", "0", "1", "-1", "+1", "00", "1.0", "1e3", "0x10", "1_0", " 1", "1 ", "-0", "--1"),
    *(
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "4294967295",
        "4294967296",
        "00000000001",
        "9" * 5000,
    ),
    *("9223372036854775806", "9223372036854775807", "18446744073709551616", "0" * 18 + "7"),
    *("\u0661", "\uff11", "\xb2", "\xbd", "NaN", "inf", "None", "true", "902", "700", "701"),
    *("20110107184030.662000+000", "20110107184030.662000-999", "20110107184030.662000+999"),
    *("19700101000000.000000+000", "19700101000000.000000+001", "22001231235959.999999+000"),
    *("22001231235959.999999-001", "00010101000000.000000+999", "99991231235959.999999-999"),
    *("20240229000000.000000+000", "20230229000000.000000+000", "20110107246060.000000+000"),
    *("20110107184030.******+000", "20110107184030.662000", "2011010718403\u0660.662000+000"),
    *("2026-03-01T00:00:00+00:00", "2026-03-01", "0001-01-01T00:00:00+14:00"),
    *("9999-12-31T23:59:59.999999-23:59", "2026-W10-1T00Z", "0001-01-01T00:00:00Z"),
    *("2026-03-01T00:00:00+00:00:01.000001", "2026-03-01T24:00:00Z", "1969-12-31T00:00:00Z"),
    *("f1b03089-9ea1-4a64-83dc-5f8e77bddeb4", "GUID: F1B03089-9EA1-4A64-83DC-5F8E77BDDEB4"),
    *("{f1b03089-9ea1-4a64-83dc-5f8e77bddeb4}", "urn:uuid:f1b03089-9ea1-4a64-83dc-5f8e77bddeb4"),
    *("f1b030899ea14a6483dc5f8e77bddeb4", "GUID:GUID:", "0" * 32, "\uff11" * 32),
    *("missing", "operator", "statesys.resync.01234567", "statesys.resync.01234567&#10;"),
    *("x" * 511, "x" * 512, "x" * 513, "\U0001f512" * 512, "&#x1F512;" * 513, "\\" * 512),
    *("&lt;", "&amp;#0;", "&#9;", "&#10;", "&#13;", "&#x85;", "&#xFFFD;", "&#x10FFFF;", "\\N"),
    # Not XML: forbidden characters and undeclared entities.
    *("&#0;", "&#x1;", "&#xB;", "&#x1F;", "&#xD800;", "&#xDFFF;", "&#xFFFE;", "&#xFFFF;"),
    *("&#x110000;", "&#-1;", "&#99999999999999999999;", "&lol;", "&", "<", "\x00", "\x01", "\x1d"),
    *("\x1e", "\x1f", "\x0b", "\ufffe", "\uffff", "\ud800", "\udc00", "\udfff\ud800", "\ufeff"),
)
#: Tokens of XML.
_PIECES = (
    *("<!DOCTYPE Report>", "<!DOCTYPE a [<!ENTITY e 'x'>]>", "<!DOCTYPE a SYSTEM 'file:///x'>"),
    *("<!ENTITY e 'x'>", "&e;", "%e;", "<!DOCTYPE", "<!ELEMENT a ANY>", "<![INCLUDE[", "]]>"),
    *(
        "<![CDATA[",
        "<![CDATA[]]>",
        "<![CDATA[x]]>",
        "<![CDATA[\r\n]]>",
        "<![CDATA[]]]]><![CDATA[>]]>",
    ),
    *(
        "<!--",
        "-->",
        "<!-- a -->",
        "<!-- -- -->",
        "<!---->",
        "<?",
        "?>",
        "<?a b?>",
        "<?xml version='1.0'?>",
    ),
    *("<?xml version='1.1'?>", "<?xml version='1.0' encoding='UTF-7'?>", "</Report>", "</", "/>"),
    *(
        "<a>",
        "</a>",
        "<a/>",
        "<a:b/>",
        "<a xmlns='u'/>",
        "<a xmlns:b='v' b:c=''/>",
        "<a b='' b=''/>",
    ),
    *("<Priority>1</Priority>", "<Priority>99999999999</Priority>", "<Priority/>", "<ReportBody>"),
    *("<a xml:id='a'/>", "<a xml:id='a'/><a xml:id='a'/>", "<a xml:id='1 2'/>", "<Param/>" * 6),
    *(
        '"',
        "'",
        "=",
        ">",
        "<",
        "&",
        " ",
        "\t",
        "\r",
        "\r\n",
        "\n",
        "\x85",
        "\u2028",
        "\ufeff",
        "\x00",
    ),
    *("<Resync RequestID='f1b03089-9ea1-4a64-83dc-5f8e77bddeb4' FirstSerial='1' LastSerial='9'/>",),
    *(
        "<i:include xmlns:i='http://www.w3.org/2001/XInclude' href='file:///x'/>",
        "<a xml:base=''/>",
    ),
)

#: Ends of elements and sections in reports and batches.
_BORDERS = (
    *("</SMX>", "</Report>", "</ReportBody></Report></SMX>", "</Batch>", "]]>", "-->", "?>"),
    *("]]></StateDetails></StateMessage>", "</StateDetails></StateMessage>", "</Param>", '"/>'),
    *("<!--</Report></SMX>-->", "<?a </SMX>?>", "<![CDATA[</Report></SMX>]]>", "&lt;/SMX&gt;"),
)
_LETTERS: tuple[str, ...] = (*" \t\r\n\0<>&;\"'=/0159-+:.]!?\u0661\ufeff\x1d\ufffe", "")


def _place(text: str, rng: Random) -> int:
    return rng.randrange(len(text) + 1)


def _found(pattern: re.Pattern[str], text: str, rng: Random) -> re.Match[str] | None:
    all_of_them = list(pattern.finditer(text))
    return rng.choice(all_of_them) if all_of_them else None


def _with(text: str, found: re.Match[str] | None, by: str, group: int = 0) -> str:
    return text if found is None else text[: found.start(group)] + by + text[found.end(group) :]


def _element(text: str, rng: Random) -> tuple[int, int]:
    """Find where an element begins and ends; precise enough for our renderers' output."""
    start = _found(re.compile(r"<(\w+)[^<>]*?(/?)>"), text, rng)
    if start is None:
        return 0, 0
    if start[2]:
        return start.span()
    end = text.find(f"</{start[1]}>", start.end())
    return (start.start(), end + len(start[1]) + 3) if end > 0 else start.span()


def _attribute_value(text: str, rng: Random, _other: str) -> str:
    return _with(text, _found(_ATTRIBUTE, text, rng), f'"{rng.choice(_VALUES)}"', 2)


def _attribute_gone(text: str, rng: Random, _other: str) -> str:
    return _with(text, _found(_ATTRIBUTE, text, rng), "")


def _attribute_name(text: str, rng: Random, _other: str) -> str:
    return _with(text, _found(_ATTRIBUTE, text, rng), rng.choice(_ATTRIBUTES), 1)


def _attribute_more(text: str, rng: Random, _other: str) -> str:
    found = _found(_ATTRIBUTE, text, rng)
    name = rng.choice(_ATTRIBUTES) if rng.random() < 0.8 or found is None else found[1]
    more = f' {name}="{rng.choice(_VALUES)}"'
    return _with(text, found, f"{more}{found[0]}" if found else "")


def _attribute_swap(text: str, rng: Random, _other: str) -> str:
    """Replace the value of an attribute by that of another."""
    source = _found(_ATTRIBUTE, text, rng)
    return _with(text, _found(_ATTRIBUTE, text, rng), source[2] if source else "", 2)


def _attributes_reorder(text: str, rng: Random, _other: str) -> str:
    tag = _found(re.compile(r"<\w+((?:\s[\w:]+=\"[^\"]*\")+)"), text, rng)
    if tag is None:
        return text
    parts = [found[0] for found in _ATTRIBUTE.finditer(tag[1])]
    rng.shuffle(parts)
    return _with(text, tag, "".join(parts), 1)


def _text_value(text: str, rng: Random, _other: str) -> str:
    return _with(text, _found(_TEXT, text, rng), rng.choice(_VALUES))


def _text_in_pieces(text: str, rng: Random, _other: str) -> str:
    """Split a text into several CDATA sections with comments between them."""
    found = _found(_TEXT, text, rng)
    pieces = "".join(f"<![CDATA[{letter}]]><!-- -->" for letter in (found[0] if found else "")[:50])
    return _with(text, found, pieces)


def _cdata_value(text: str, rng: Random, _other: str) -> str:
    return _with(text, _found(_CDATA, text, rng), rng.choice(_VALUES), 1)


def _element_twice(text: str, rng: Random, _other: str) -> str:
    first, last = _element(text, rng)
    times = rng.choice((1, 1, 1, 2, 30))
    return text[:last] + text[first:last] * times + text[last:]


def _element_gone(text: str, rng: Random, _other: str) -> str:
    first, last = _element(text, rng)
    return text[:first] + text[last:]


def _element_moved(text: str, rng: Random, _other: str) -> str:
    first, last = _element(text, rng)
    rest = text[:first] + text[last:]
    tag = _found(_TAG, rest, rng)
    at = tag.end() if tag else 0
    return rest[:at] + text[first:last] + rest[at:]


def _element_from_other(text: str, rng: Random, other: str) -> str:
    first, last = _element(other, rng)
    tag = _found(_TAG, text, rng)
    at = tag.end() if tag else 0
    return text[:at] + other[first:last] + text[at:]


def _element_wrapped(text: str, rng: Random, _other: str) -> str:
    first, last = _element(text, rng)
    name = rng.choice(_ELEMENTS)
    return f"{text[:first]}<{name}>{text[first:last]}</{name}>{text[last:]}"


def _element_renamed(text: str, rng: Random, _other: str) -> str:
    found = _found(re.compile(r"</?(\w+)"), text, rng)
    if found is None:
        return text
    new = rng.choice(_ELEMENTS)
    if rng.random() < 0.2:
        return _with(text, found, new, 1)
    return re.sub(rf"(</?){found[1]}\b", lambda tag: tag[1] + new, text)


def _deeper(text: str, rng: Random, _other: str) -> str:
    """Insert nested elements behind a tag; libxml2's own limit is 2,048 levels."""
    tag = _found(_TAG, text, rng)
    at = tag.end() if tag else 0
    name, depth = rng.choice(_ELEMENTS[:-4]), rng.choice((1, 3, 90, 97, 300, 2044, 2100))
    return f"{text[:at]}{f'<{name}>' * depth}{f'</{name}>' * depth}{text[at:]}"


def _piece(text: str, rng: Random, _other: str) -> str:
    """Insert a piece, mostly between two tokens."""
    tag = _found(_TAG, text, rng)
    at = rng.choice(tag.span()) if tag and rng.random() < 0.8 else _place(text, rng)
    return text[:at] + rng.choice(_PIECES) + text[at:]


def _letter(text: str, rng: Random, _other: str) -> str:
    """Insert, remove or replace one letter: a report that is almost canonical."""
    at = _place(text, rng)
    letter = rng.choice(_LETTERS)
    return text[:at] + letter + text[at + rng.randrange(2) :]


def _border(text: str, rng: Random, other: str) -> str:
    """Put the end of a report into a text or an attribute, perhaps followed by a report."""
    places = ((_TEXT, 0, ""), (_CDATA, 1, ""), (_ATTRIBUTE, 2, '"'))
    pattern, group, quote = places[rng.randrange(len(places))]
    border = rng.choice(_BORDERS)
    if rng.random() < 0.5:
        border += other[other.find("<Report>") :]
    found = _found(pattern, text, rng)
    if found is None:
        return text + border
    return _with(text, found, f"{quote}{border}{quote}", group)


def _namespace(text: str, rng: Random, _other: str) -> str:
    """Declare a namespace on an element, and perhaps add a prefix to others."""
    start = _found(re.compile(r"<\w+"), text, rng)
    declared = rng.choice(
        (" xmlns='u'", " xmlns:a='u'", " xmlns:a=''", " xmlns=''", " xmlns:xml='u'", " a:a=''")
    )
    text = _with(text, start, f"{start[0]}{declared}" if start else "")
    if rng.random() < 0.5:
        return text
    return re.sub(r"(</?)(Topic|Report|Machine)\b", r"\1a:\2", text)


def _cut(text: str, rng: Random, _other: str) -> str:
    first, last = sorted((_place(text, rng), _place(text, rng)))
    return text[:first] + text[min(last, first + rng.choice((1, 2, 50, 10_000))) :]


def _splice(text: str, rng: Random, other: str) -> str:
    return text[: _place(text, rng)] + other[_place(other, rng) :]


def _outside(text: str, rng: Random, _other: str) -> str:
    """Add a piece before or after the document."""
    more = rng.choice(_PIECES)
    return more + text if rng.random() < 0.5 else text + more


def _declaration(text: str, rng: Random, _other: str) -> str:
    encoding = rng.choice(("UTF-8", "UTF-16", "UTF-16LE", "ISO-8859-1", "UTF-7", "cp037", "x"))
    text = re.sub(r"^<\?xml.*?\?>", "", text)
    return f"<?xml version='{rng.choice(('1.0', '1.1', '2'))}' encoding='{encoding}'?>{text}"


CHANGES: Mapping[str, Change] = {
    change.__name__.strip("_"): change
    for change in (
        *(_attribute_value, _attribute_value, _attribute_gone, _attribute_name, _attribute_more),
        *(_attribute_swap, _attributes_reorder, _text_value, _text_in_pieces, _cdata_value),
        *(_element_twice, _element_gone, _element_moved, _element_from_other, _element_wrapped),
        *(
            _element_renamed,
            _deeper,
            _letter,
            _letter,
            _border,
            _piece,
            _namespace,
            _cut,
            _splice,
            _outside,
            _declaration,
        ),
    )
}


def _flip(body: bytes, rng: Random, _other: bytes) -> bytes:
    at = rng.randrange(len(body) or 1)
    flipped = bytes([body[at] ^ 1 << rng.randrange(8)]) if body else b""
    return body[:at] + flipped + body[at + 1 :]


def _byte(body: bytes, rng: Random, _other: bytes) -> bytes:
    at = rng.randrange(len(body) + 1)
    return body[:at] + bytes([rng.randrange(256)]) + body[at + rng.randrange(2) :]


def _torn(body: bytes, rng: Random, _other: bytes) -> bytes:
    return body[: rng.randrange(len(body) + 1)]


def _twice(body: bytes, rng: Random, _other: bytes) -> bytes:
    first, last = sorted((rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)))
    return body[:last] + body[first:]


def _joined(body: bytes, rng: Random, other: bytes) -> bytes:
    return body[: rng.randrange(len(body) + 1)] + other[rng.randrange(len(other) + 1) :]


def _letters(body: bytes, rng: Random, _other: bytes) -> bytes:
    """Insert invalid or misleading bytes: overlong forms, halves, byte order marks."""
    piece = rng.choice(
        (
            *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xc0\x80", b"\xc0\xbc", b"\xf4\x90\x80\x80"),
            *(b"\xff", b"\x80", b"\xe2\x82", b"\xef\xbf\xbe", b"\xef\xbb\xbf", b"\xff\xfe"),
            *(b"\xfe\xff", b"\x00", b"\x00\x00", b"\x00\xd8", b"\xd8\x00", b"<\x00", b"\x00<"),
        )
    )
    at = rng.randrange(len(body) + 1)
    return body[:at] + piece + body[at:]


DAMAGES: Mapping[str, Damage] = {
    damage.__name__.strip("_"): damage
    for damage in (_flip, _byte, _torn, _twice, _joined, _letters)
}

#: Clients' encoding first, then others that are read, then those that are refused.
_ENCODINGS = (
    *("utf-16", "utf-16", "utf-16", "utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16-le"),
    *("utf-16-be", "utf-16-be+mark", "latin-1", "utf-7", "utf-32", "cp037"),
)


def encoded(text: str, encoding: str) -> bytes:
    """Encode a text; lone surrogates stay, where the encoding can write them."""
    if encoding == "utf-16-be+mark":
        text, encoding = "\ufeff" + text, "utf-16-be"
    errors = "surrogatepass" if encoding.startswith("utf-") and encoding != "utf-7" else "replace"
    return text.encode(encoding, errors)


def mutated(good: Callable[[Random, int], str], rng: Random, number: int) -> bytes:
    """A document after 0 to 6 changes, in some encoding, perhaps damaged.

    Args:
        good: makes a good document.
        number: of the input.
    """
    text, other = good(rng, number), good(rng, number)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 6))):
        text = CHANGES[rng.choice(_CHANGE_NAMES)](text, rng, other)
    encoding = rng.choice(_ENCODINGS[:8] if rng.random() < 0.9 else _ENCODINGS)
    body = encoded(text, encoding)
    if rng.random() < 0.15:
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            damage = DAMAGES[rng.choice(_DAMAGE_NAMES)]
            body = damage(body, rng, encoded(other, rng.choice(("utf-8", encoding))))
    return body


_CHANGE_NAMES, _DAMAGE_NAMES = tuple(CHANGES), tuple(DAMAGES)
