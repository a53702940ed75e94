"""Inputs of the largest size in their worst shapes: time is linear in size, memory is stable."""

import gc
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from runtime.workers.renewal import run_until_renewal
from schemas.report import MAX_REPORT_BYTES
from tests.fuzz.blocks import resident
from tests.fuzz.laws import report as law
from tests.support.documents import CLIENT_ID, STATE, TIME, TOPIC, message
from tests.support.documents import report as document

#: Makes a document from a size in bytes and a salt; another salt gives other names and values.
Shape = Callable[[int, int], bytes]

_MIB = 1024 * 1024
SIZES = (_MIB, 2 * _MIB, 4 * _MIB, MAX_REPORT_BYTES)
#: CPU seconds of one input, for all steps: the relay reads and renders it, the loader reads and
#: prepares it. The laws do each step twice or more.
MAX_SECONDS = 20.0
#: Twice the size may take this many times as long; a time below so many seconds always passes.
_MAX_RATIO, _NOTHING = 3.0, 1.0
#: Bytes that a process may hold more after ten inputs than after three.
MAX_GROWTH = 24 * _MIB
_WARM, _ROUNDS = 3, 7
#: Growth counts only when this many measurements in a row show it.
_TRIALS = 2


class Measured(NamedTuple):
    """The measurements of one shape.

    Attributes:
        seconds: of CPU, for each size.
        growth: bytes of memory, over several inputs of 2 MiB.
        outcome: "read", or why the largest was refused.
        broken: the error of a broken law; empty when all hold.
    """

    seconds: tuple[float, ...]
    growth: int
    outcome: str
    broken: str = ""

    def problems(self) -> list[str]:
        """Describe each bound that is exceeded."""
        if self.broken:
            return [self.broken]
        *_, half, whole = self.seconds
        found = []
        if whole > MAX_SECONDS:
            found.append(f"over {MAX_SECONDS:g} s")
        if whole > _NOTHING and whole > half * _MAX_RATIO:
            found.append("grows faster than its size")
        if self.growth > MAX_GROWTH:
            found.append(f"memory grows by more than {MAX_GROWTH // _MIB} MiB")
        return found


def measure(name: str) -> Measured:
    """Try one shape in all sizes, and repeatedly in one size for its memory."""
    try:
        return _measure(SHAPES[name])
    except Exception as error:  # noqa: BLE001 (any exception is a finding)
        # As text, since not every exception can be pickled.
        return Measured((), 0, "", f"{type(error).__name__}: {error}"[:200])


def _measure(shape: Shape) -> Measured:
    seconds, outcome = [], ""
    for size in SIZES:
        body = shape(size, 0)
        started = time.thread_time()
        reason = law(body).reason
        seconds.append(time.thread_time() - started)
        outcome = "read" if reason is None else reason.value
        del body
    held: list[int] = []
    growth = MAX_GROWTH + 1
    while growth > MAX_GROWTH and len(held) < _TRIALS * (_WARM + _ROUNDS):
        # A leak keeps growing. malloc may grow once, when a thread finds no free arena, and
        # then has enough.
        for _ in range(_WARM + _ROUNDS):
            body = shape(SIZES[1], len(held) + 1)
            # Relay and loader use this thread too, though for many reports at a time.
            run_until_renewal("fuzz", partial(law, body))
            gc.collect()
            held.append(resident())
        first = len(held) - _WARM - _ROUNDS
        growth = held[-1] - max(held[first : first + _WARM])
    return Measured(tuple(seconds), growth, outcome)


def _around(inside: Callable[[str], str]) -> tuple[str, str]:
    before, _, after = inside("\0").partition("\0")
    return before, after


def _filled(unit: str, inside: Callable[[str], str], *, encoding: str = "utf-8") -> Shape:
    """Repeat a unit up to the size; "%d" in it becomes a number that depends on the salt."""
    before, after = _around(inside)

    def made(size: int, salt: int) -> bytes:
        width = 2 if encoding.startswith("utf-16") else 1
        room = size - (len(before) + len(after)) * width - 100
        if "%d" not in unit:
            body = unit * (room // len(unit.encode(encoding.replace("utf-16", "utf-16-le"))))
        else:
            first = 10**8 * (salt + 1)
            one = len((unit % first).encode()) * width
            body = "".join(unit % number for number in range(first, first + room // one))
        return f"{before}{body}{after}".encode(encoding)

    return made


def _details(text: str) -> str:
    return document(message(f"{TOPIC}{STATE}<StateDetails>{text}</StateDetails>"))


def _topic(attributes: str) -> str:
    return document(message(f"<Topic ID='a' Type='1'{attributes}/>{STATE}"))


def _cdata(text: str) -> str:
    return document(message(f"{TOPIC}{STATE}<StateDetails><![CDATA[{text}]]></StateDetails>"))


def _param(text: str) -> str:
    params = f"<UserParameters><Param>{text}</Param></UserParameters>"
    return document(message(f"{TOPIC}{STATE}{params}"))


def _header(inside: str) -> str:
    return document(header=inside)


def _pieces(inside: Callable[[str], str]) -> Shape:
    """A long text, followed by as many short CDATA pieces as the reader keeps apart."""
    before, after = _around(inside)

    def made(size: int, _salt: int) -> bytes:
        pieces = "<![CDATA[x]]>" * (59_000 * size // MAX_REPORT_BYTES)
        return f"{before}{'x' * (size - len(pieces) - 1000)}{pieces}{after}".encode()

    return made


def _deep(size: int, _salt: int) -> bytes:
    """Elements nested as deep as is allowed, repeated."""
    unit = "<a>" * 90 + "</a>" * 90
    return _header(unit * ((size - 1000) // len(unit))).encode()


SHAPES: Mapping[str, Shape] = {
    "details of one message": _filled("x", _details),
    "details, UTF-16": _filled("\U0001f512x", _details, encoding="utf-16"),
    "details, all references": _filled("&#9;&amp;", _details),
    "details, brackets": _filled("]]", _details),
    "details, many CDATA": _filled("<![CDATA[x]]>", _details),
    "details, many comments": _filled("x<!---->", _details),
    "details, comments and instructions": _filled("<!-- --><?a?>", _details),
    "details, long text and CDATA": _pieces(_details),
    "parameter, backslashes and quotes": _filled('\\"', _param),
    "small messages": _filled(message(serial="%d"), document),
    "small messages, UTF-16": _filled(message(serial="%d"), document, encoding="utf-16"),
    "small messages without serial": _filled(
        f'<StateMessage MessageTime="{TIME}"><Topic ID="t%d" Type="1"/>{STATE}</StateMessage>',
        document,
    ),
    "one message again and again": _filled(message(), document),
    "messages with CDATA": _filled(
        message(f"{TOPIC}{STATE}<StateDetails><![CDATA[<a>]]></StateDetails>", serial="%d"),
        document,
    ),
    "deep elements": _deep,
    "header elements": _filled("<a/>", _header),
    "header elements of other names": _filled("<a%d/>", _header),
    "attributes of other names": _filled(" a%d=''", _topic),
    "header elements with attributes": _filled("<a b='' c='' d='' e='' f=''/>", _header),
    "namespaces": _filled("<a xmlns='u%d' xmlns:b='v'><b:c b:d=''/></a>", _header),
    "namespace declarations": _filled(" xmlns:a%d='u'", _topic),
    "xml:id": _filled("<a xml:id='a%d'/>", _header),
    "white space in the header": _filled(" \n", lambda text: _header(f"<a/>{text}<b/>")),
    "white space in the body": _filled("\n", lambda text: document(f"{text}{message()}")),
    "white space before": _filled(" ", lambda text: f"{text}{document()}"),
    "white space behind": _filled("\n", lambda text: f"{document()}{text}"),
    "white space in a start tag": _filled(" ", _topic),
    "comments before": _filled("<!-- a -->", lambda text: f"{text}{document()}"),
    "comments before, the word DOCTYPE": _filled("<!--<!DOCTYPE-->", lambda t: f"{t}{document()}"),
    "entities": _filled("&a;", _details),
    "an attribute": _filled("x", lambda text: _topic(f" x='{text}'")),
    "an attribute of references": _filled("&#9;", lambda text: _topic(f" x='{text}'")),
    "details that grow as SMX": _filled(">", _details),
    "an element name": _filled("x", lambda text: _header(f"<{text}/>")),
    "serial digits": _filled("9", lambda text: document(message(serial=text))),
    "date digits": _filled("1", lambda text: document(message(time=text))),
    "number digits": _filled("0", lambda t: document(message(f"{TOPIC}<State ID='{t}'/>"))),
    "report date, space": _filled(" ", lambda t: document(date=f"<Date>{t}{TIME}</Date>")),
    "report date, long text and CDATA": _pieces(lambda t: document(date=f"<Date>{t}</Date>")),
    "client id, space": _filled(" ", lambda t: document(machine=f"<ClientID>GUID:{t}x</ClientID>")),
    "client id, long text and CDATA": _pieces(
        lambda t: document(machine=f"<ClientID>{t}</ClientID>")
    ),
    "name, long text and CDATA": _pieces(
        lambda t: document(machine=f"{CLIENT_ID}<NetBIOSName>{t}</NetBIOSName>")
    ),
    "priority, long text and CDATA": _pieces(
        lambda t: document(machine=f"{CLIENT_ID}<Priority>{t}</Priority>")
    ),
    "canonical, CDATA that does not end": _filled("x", lambda t: _cdata(t).replace("]]>", "")),
    "canonical, one letter too much": _filled(message(serial="%d"), lambda t: f"{document(t)}x"),
    "canonical, an odd one last": _filled(
        message(serial="%d"), lambda t: document(f"{t}{message(f'{TOPIC}<!-- -->{STATE}')}")
    ),
    "canonical, an attribute that does not end": _filled("x", lambda t: _topic(f' User="{t}')),
    "canonical, escaped": _filled("&lt;", _details),
    "canonical, escaped, and one more": _filled("&lt;", lambda t: _details(f"{t}&lol;")),
    "canonical, white space before": _filled(" ", lambda t: f"{t}{document()}x"),
    "client ids": _filled("<ClientID>a</ClientID>", lambda t: document(machine=t)),
}
