"""Hostile documents: the reader refuses or reads each one at once, without using the network.

No test here looks at a clock; a timeout stops a test that does not end.
"""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from schemas import xml
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.report import MAX_REPORT_BYTES
from schemas.report_reader import parse_report
from tests.support.documents import CLIENT_ID, STATE, TOPIC, message, report

# Seconds. The slowest takes less than one on an idle machine.
pytestmark = pytest.mark.timeout(30)

LAUGHS = "".join(
    f'<!ENTITY {name} "{f"&{inner};" * 10}">'
    for inner, name in zip("abcdefghij", "bcdefghijk", strict=True)
)
#: Nested entities, and a report whose attribute and text refer to the largest.
BOMB = f'<!DOCTYPE Report [<!ENTITY a "{"x" * 1000}">{LAUGHS}]>' + report(
    message(f"<Topic ID='&k;' Type='5'/>{STATE}<StateDetails>&k;</StateDetails>")
)
#: What may precede a DOCTYPE; only one edition of XML or one parser allows some of it.
BEFORE_A_DOCTYPE = [
    "",
    "\n\t ",
    "<?xml version='1.0'?>",
    "<?xml version='1.1' encoding='UTF-16'?>",
    "<?xml version='1.0' encoding='UTF-7'?>",
    "<?xml version='1.0' encoding='no-such-encoding'?>",
    "<!---->",
    "<!-- <a> ?> -->",
    "<?a?>",
    "<?a --> <b/> ?>",
    "<?xml-stylesheet href='http://127.0.0.1:9/a.xsl'?>",
    "<?\u037f b?>",
    "<?a:b:c ?>",
    "<?\U00010000 b?>",
    "<!-- \U0010ffff -->" * 3,
]


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """A port that the reader must not connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening
        with pytest.raises(BlockingIOError):
            listening.accept()


def refusal(body: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        parse_report(body)
    return refused.value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("before", BEFORE_A_DOCTYPE)
def test_a_billion_laughs_are_refused_whatever_stands_before_them(
    before: str, mark: str, encoding: str
) -> None:
    # Without a byte order mark, the reader recognizes UTF-16 only by a first "<".
    expected = (
        Reason.DOCTYPE
        if mark or encoding == "utf-8" or not before.startswith("\n")
        else Reason.NOT_WELL_FORMED
    )
    assert refusal((mark + before + BOMB).encode(encoding)).reason is expected


def test_external_entities_and_dtds_are_never_fetched(trap: socket.socket, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret", encoding="ascii")
    http = f"http://127.0.0.1:{trap.getsockname()[1]}/a"
    for doctype in (
        f'<!DOCTYPE Report SYSTEM "{http}">',
        f'<!DOCTYPE Report PUBLIC "a" "{http}">',
        f'<!DOCTYPE Report [<!ENTITY a SYSTEM "{http}">]>',
        f'<!DOCTYPE Report [<!ENTITY a SYSTEM "{secret.as_uri()}">]>',
        f'<!DOCTYPE Report [<!ENTITY % a SYSTEM "{http}">%a;]>',
    ):
        text = doctype + report(message(f"{TOPIC}{STATE}<StateDetails>&a;</StateDetails>"))
        assert refusal(text.encode()).reason is Reason.DOCTYPE


def test_inclusions_schema_hints_and_stylesheets_mean_nothing(trap: socket.socket) -> None:
    http = f"http://127.0.0.1:{trap.getsockname()[1]}/a"
    text = f"<?xml-stylesheet href='{http}'?>" + report(
        header=f"<i:include xmlns:i='http://www.w3.org/2001/XInclude' href='{http}'/>"
        f"<a xmlns:x='http://www.w3.org/2001/XMLSchema-instance' x:schemaLocation='u {http}'"
        f" xml:base='{http}'/>"
    )
    assert parse_report(text.encode()).serials == [1431]


@pytest.mark.parametrize(
    "details",
    [
        "<![CDATA[<!DOCTYPE a>]]>",
        "a<!-- <!DOCTYPE a> -->",
        "a<?b <!DOCTYPE a> ?>",
        "&lt;!DOCTYPE a>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_the_letters_of_a_doctype_inside_the_document_are_only_letters(
    details: str, encoding: str
) -> None:
    before = "<!-- <!DOCTYPE a> --><?b <!DOCTYPE a> ?>"
    text = before + report(message(f"{TOPIC}{STATE}<StateDetails>{details}</StateDetails>"))
    assert parse_report(("\ufeff" + text).encode(encoding)).messages[0].details in (
        "a",
        "<!DOCTYPE a>",
    )


@pytest.mark.parametrize(
    "encoding", ["utf-7", "utf-32", "utf-32-le", "utf-32-be", "cp037", "cp500", "cp1026"]
)
def test_other_encodings_are_not_read(encoding: str) -> None:
    # In UTF-7 even the first "<" may be encoded; the reader must not decode it.
    body = f"<?xml version='1.0' encoding='{encoding}'?>{BOMB}".encode(encoding)
    body = body.replace(b"<", b"+ADw-") if encoding == "utf-7" else body
    assert refusal(body).reason is Reason.NOT_WELL_FORMED


@pytest.mark.parametrize("encoding", ["UTF-7", "UTF-32", "EBCDIC-CP-US", "ISO-8859-1", "x"])
def test_a_declared_encoding_is_not_believed(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?>" + report(
        machine=f"{CLIENT_ID}<NetBIOSName>Zoë+ADw-</NetBIOSName>"
    )
    assert parse_report(text.encode()).client_name == "Zoë+ADw-"


def full(unit: str, head: str = "<Report>", tail: str = "</Report>") -> Callable[[], bytes]:
    """8 MiB of one unit, made on demand."""

    def made() -> bytes:
        return (head + unit * ((MAX_REPORT_BYTES - 2000) // len(unit)) + tail).encode()

    return made


def param(inside: str) -> tuple[str, str]:
    """The parts of a good report before and after the text of its only param."""
    before, after = report(message("{}")).split("{}")
    params = "<UserParameters><Param>", "</Param></UserParameters>"
    return f"{before}{TOPIC}{STATE}{params[0]}{inside}", f"{params[1]}{after}"


def long_in_pieces(parts: Sequence[str], encoding: str = "utf-8") -> Callable[[], bytes]:
    """A long text, then many short pieces: joined one by one, each would copy megabytes."""
    before, after = parts

    def made() -> bytes:
        width = len("x".encode(encoding))
        pieces = "<![CDATA[x]]>" * (MAX_REPORT_BYTES // 10 // 13 // width)
        text = "x" * (MAX_REPORT_BYTES // width - len(pieces) - 1000)
        return f"{before}{text}{pieces}{after}".encode(encoding)

    return made


LARGE: dict[str, tuple[Callable[[], bytes], Reason | None]] = {
    "empty elements": (full("<a/>"), Reason.BAD_STRUCTURE),
    "opened elements": (full("<a>"), Reason.NOT_WELL_FORMED),
    "comments": (full("<!---->"), Reason.BAD_STRUCTURE),
    "instructions": (full("<?a?>"), Reason.BAD_STRUCTURE),
    "references": (full("&#9;"), Reason.BAD_STRUCTURE),
    "letters": (full("x"), Reason.BAD_STRUCTURE),
    "white space": (full(" ", ""), Reason.NOT_WELL_FORMED),
    "an unfinished comment": (full("<!DOCTYPE", "<!--", ""), Reason.NOT_WELL_FORMED),
    "unfinished comments": (full("<!--<!DOCTYPE", "", ""), Reason.NOT_WELL_FORMED),
    "an attribute": (full("x", "<Report a='", "'/>"), Reason.BAD_STRUCTURE),
    "a name": (full("x", "<", "/>"), Reason.BAD_STRUCTURE),
    "namespaces": (full("<a xmlns='u' xmlns:b='v'/>"), Reason.BAD_STRUCTURE),
    "header elements": (full("<a/>", *report(header="{}").split("{}")), None),
    "pieces of one param": (full("<![CDATA[x]]>", *param("")), None),
    "a long param in pieces": (long_in_pieces(param("")), None),
    "a long date in pieces": (
        long_in_pieces(report(date="<Date>{}</Date>").split("{}")),
        Reason.BAD_DATE,
    ),
    "a long client id in pieces": (
        long_in_pieces(report(machine="<ClientID>{}</ClientID>").split("{}"), "utf-16-le"),
        Reason.BAD_CLIENT_ID,
    ),
    "a long name in pieces": (
        long_in_pieces(
            report(machine=f"{CLIENT_ID}<NetBIOSName>{{}}</NetBIOSName>").split("{}"),
            "utf-16-be",
        ),
        Reason.TOO_LONG,
    ),
    "letters of doctypes": (full("<![CDATA[<!DOCTYPE]]>", *param("")), None),
    "attributes": (
        lambda: b"<Report " + b" ".join(b"a%x=''" % n for n in range(700_000)) + b"/>",
        Reason.BAD_STRUCTURE,
    ),
    "names": (
        lambda: b"<Report>" + b"".join(b"<a%x/>" % n for n in range(800_000)) + b"</Report>",
        Reason.BAD_STRUCTURE,
    ),
    "messages": (full(message(serial=None), *report("{}").split("{}")), None),
}


@pytest.mark.parametrize(("body", "reason"), LARGE.values(), ids=LARGE.keys())
def test_eight_mib_of_anything_are_refused_or_read(
    body: Callable[[], bytes], reason: Reason | None
) -> None:
    if reason is None:
        assert parse_report(body()).messages
    else:
        assert refusal(body()).reason is reason


def test_deep_nesting_is_refused() -> None:
    text = report(header="<a>" * 100_000 + "</a>" * 100_000)
    assert refusal(text.encode()).reason is Reason.NOT_WELL_FORMED


def test_what_is_read_alone_can_be_read_in_a_batch() -> None:
    # libxml2 reads 2,048 levels, and a batch adds two.
    for name in ("a", "ReportHeader", "Identification", "Machine", "ReportDetails", "ReportBody"):
        for place in ("header", "details", "machine"):
            deep = f"<{name}>" * 2040 + f"</{name}>" * 2040
            parts = {place: f"{CLIENT_ID}{deep}" if place == "machine" else deep}
            assert refusal(report(**parts).encode()).reason is Reason.BAD_STRUCTURE


def test_comments_and_instructions_do_not_become_text() -> None:
    root = xml.parse(b"<a>1<!-- 2 -->3<?b 4?>5</a>", max_bytes=100)
    assert (root.text, len(root)) == ("135", 0)


def test_a_lack_of_memory_is_not_the_documents_fault() -> None:
    program = (
        "import os, resource\n"
        "from schemas import xml\n"
        "document = b'<a>' + b'<b c=\"d\">e</b>' * 20_000 + b'</a>'\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "for more in range(0, 64, 2):\n"
        "    size = pages * resource.getpagesize() + (more << 20)\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        xml.parse(document, max_bytes=len(document))\n"
        "        os.write(1, b'read ')\n"
        "    except MemoryError:\n"
        "        os.write(1, b'short ')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, timeout=60
    )
    assert set(done.stdout.split()) == {b"short", b"read"}
