"""The site control file of ConfigMgr: the properties of its state system, read and written.

The file is text: blocks from BEGIN_X to END_X, which may be nested, and in them lines. A block of
the kind COMPONENT begins with its name; a setting of it is one line with four fields, of which the
last is a number:

    BEGIN_COMPONENT
        <SMS_STATE_SYSTEM>
        PROPERTY <Loader Threads><REG_DWORD><><4>
    END_COMPONENT

Source: Microsoft, "About the Configuration Manager Site Control File" (SDK of ConfigMgr 2007, with
an example of blocks, properties and property lists), and "Description of state messaging in
Configuration Manager" (the properties of SMS_STATE_SYSTEM, one with markup in its third field).
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schemas.errors import SiteControlRefused

#: Bytes of a file at most; one of a large site has a few MB.
MAX_SIZE = 16 * 1024 * 1024
COMPONENT = "SMS_STATE_SYSTEM"
#: A byte-order mark, and the encoding that it stands for.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: Blocks in blocks; real files have three.
_DEPTH = 100
#: Bytes by which UTF-16 without a mark is recognised: every second one is NUL.
_HEAD = 4096
#: DOS ended texts with Ctrl-Z, and C programs end them with NUL.
_ENDS = "\0\x1a"
_LINES = re.compile(r"\r\n|\r|\n")
_KEYWORD = re.compile(r"(BEGIN_|END_|PROPERTY\b)(\w*)\s*(.*)", re.ASCII | re.IGNORECASE)
#: Only the third field may hold angle brackets.
_FIELDS = re.compile(r"<([^<>]*)>\s*<([^<>]*)>\s*<(.*)>\s*<([^<>]*)>")
#: Characters of a line that an error shows.
_SHOWN = 60


class Property(NamedTuple):
    """One setting.

    Attributes:
        name: as the file has it.
        text: the third field; most settings have none.
        number: the fourth field.
        line: where it is in the file, from 1.
    """

    name: str
    text: str
    number: str
    line: int


class StateSystem(NamedTuple):
    """What a file says about the state system.

    Attributes:
        properties: of all blocks of the state system, and those outside any block, in the order
            of the file.
        inner: names of blocks inside of those, such as property lists, which are not read.
        blocks: lines on which a block of the state system begins.
        open: the kind of a block that the end of the file cuts off; None for a whole file.
    """

    properties: list[Property]
    inner: list[str]
    blocks: list[int]
    open: str | None


class _Block:
    """A block that has begun.

    Attributes:
        ours: whether this is a component that is the state system.
    """

    def __init__(self, kind: str, line: int) -> None:
        self.kind = kind
        self.line = line
        self.name: str | None = None
        self.ours = False

    def call(self, name: str) -> None:
        """Give it its name."""
        self.name = name
        self.ours = self.kind == "COMPONENT" and plain(name) == plain(COMPONENT)


def read_state_system(raw: bytes) -> StateSystem:
    """Read the properties of the state system.

    Args:
        raw: a whole file: ASCII, UTF-8 or UTF-16, with or without a byte-order mark.

    Raises:
        SiteControlRefused: the file is not of this kind, has no block of the state system, or that
            block is damaged or cut off.
    """
    if not raw.strip():
        raise SiteControlRefused("the file is empty: give a site control file (sitectrl.ct0)")
    if len(raw) > MAX_SIZE:
        raise SiteControlRefused(
            f"the file is larger than {MAX_SIZE >> 20} MiB, and a site control file has a few: "
            f"give one, or only its block {COMPONENT}"
        )
    found = StateSystem([], [], [], None)
    stack = _walk(_lines(raw), found)
    cut = next((block for block in stack if block.ours), None)
    if cut is not None:
        raise SiteControlRefused(
            f"the file ends inside the block {COMPONENT} that begins in line {cut.line}: "
            "copy the file again, whole"
        )
    if not found.blocks:
        where = f" before it ends inside a block {stack[-1].kind}" if stack else ""
        raise SiteControlRefused(
            f"the file has no BEGIN_COMPONENT <{COMPONENT}>{where}: give the site control file of "
            "a primary site (sitectrl.ct0), or that block of it"
        )
    return found._replace(open=stack[-1].kind if stack else None)


def render_state_system(numbers: Iterable[tuple[str, int]]) -> str:
    """Write a block of the state system, in ASCII.

    Args:
        numbers: name and number of each property.
    """
    properties = [f"\tPROPERTY <{name}><><><{number}>" for name, number in numbers]
    return "\n".join(("BEGIN_COMPONENT", f"\t<{COMPONENT}>", *properties, "END_COMPONENT", ""))


def plain(name: str) -> str:
    """A name as it is compared: in one letter case, with single spaces."""
    return " ".join(name.split()).casefold()


def _lines(raw: bytes) -> list[str]:
    text = _decoded(raw).rstrip(_ENDS)
    lines = _LINES.split(text)
    if "\0" in text:
        at = next(number for number, line in enumerate(lines, 1) if "\0" in line)
        raise SiteControlRefused(
            f"line {at} holds a NUL character, so this is no text, or it is damaged: give a site "
            "control file in ASCII, UTF-8 or UTF-16"
        )
    return lines


def _decoded(raw: bytes) -> str:
    # What a code page has beyond ASCII is in names of servers and sites, which do not matter here.
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "replace")
    head = raw[:_HEAD]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if head[first::2].count(0) > len(head) // 4:
            return raw.decode(encoding, "replace")
    return raw.decode("utf-8", "replace")


def _walk(lines: list[str], found: StateSystem) -> list[_Block]:
    """Collect what the lines say, and return the blocks that they leave open."""
    stack: list[_Block] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        keyword = _KEYWORD.match(text)
        if keyword is None:
            _name(stack, text, found)
            continue
        word, kind, rest = keyword[1].upper(), keyword[2].upper(), keyword[3]
        if word == "BEGIN_":
            if len(stack) == _DEPTH:
                raise SiteControlRefused(
                    f"line {number} begins a block inside {_DEPTH} others: give a site control file"
                )
            stack.append(_Block(kind, number))
            _name(stack, rest, found)
        elif word == "END_":
            _end(stack, kind)
        elif not stack or stack[-1].ours:
            found.properties.extend(_property(rest, number, outside=not stack))
    return stack


def _name(stack: list[_Block], text: str, found: StateSystem) -> None:
    """Take the first line of a block that is in angle brackets as its name."""
    if not (text.startswith("<") and text.endswith(">")) or not stack:
        return
    block = stack[-1]
    if block.name is not None:
        return
    block.call(text[1:-1])
    if block.ours:
        found.blocks.append(block.line)
    elif any(outer.ours for outer in stack[:-1]):
        found.inner.append(f"{block.kind} {block.name}")


def _end(stack: list[_Block], kind: str) -> None:
    """End the innermost block of a kind, and blocks in it whose end is missing."""
    at = next((at for at in reversed(range(len(stack))) if stack[at].kind == kind), None)
    # An end without a beginning ends nothing.
    if at is not None and not any(block.ours for block in stack[at + 1 :]):
        del stack[at:]


def _property(rest: str, line: int, *, outside: bool) -> Iterator[Property]:
    fields = _FIELDS.fullmatch(rest)
    if fields is not None:
        yield Property(fields[1].strip(), fields[3], fields[4].strip(), line)
    elif not outside:
        raise SiteControlRefused(
            f"line {line}, {rest[:_SHOWN]!r}, is no PROPERTY <name><type><text><number>: "
            "copy the file again, or correct the line"
        )
