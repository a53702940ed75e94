"""Log lines in the form that CMTrace and ConfigMgr's own programs use: written, and read leniently.

A line of today's form::

    <![LOG[text]LOG]!><time="12:40:31.099+360" date="01-07-2011" component="StateMessage"
    context="" type="1" thread="3592" file="statemsg.cpp:1527">

in one line. The number behind the time is the bias: the minutes that are added to the local time
to get UTC. The type is 1 (information), 2 (warning) or 3 (error). The text may hold line breaks.

An older form, of servers::

    text  $$<SMS_STATE_SYSTEM><01-07-2011 12:40:31.037+360><thread=5076 (0x13D4)>

Sources: logs that ConfigMgr's programs write, and what CMTrace's documentation says of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum

#: How the text of a line begins and ends.
_BEGIN, _END = "<![LOG[", "]LOG]!>"
#: What stands for `_END` inside a text, so that it does not end there.
_BROKEN_END = "]LOG] !>"
#: Between the text and the end of the line.
_ATTRIBUTES = re.compile(
    r'<time="(?P<time>[^"<>\r\n]*)"\s+date="(?P<date>[^"<>\r\n]*)"'
    r'(?P<others>(?:\s+[a-z]+="[^"\r\n]*"){0,9})\s*>'
)
_OTHER = re.compile(r'([a-z]+)="([^"\r\n]*)"')
_TIME = re.compile(
    r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6})\d*)?\s*(?:([+-]\d{1,4}))?", re.ASCII
)
_DATE = re.compile(r"(\d{1,2})-(\d{1,2})-(\d{4})", re.ASCII)
_OLD = re.compile(
    r"(?P<text>.*?)\s*\$\$<(?P<component>[^<>]*)><(?P<date>\S+)\s+(?P<time>[^<>]*)>"
    r"<thread=(?P<thread>\d+)[^>]*>\s*",
    re.ASCII,
)
#: Characters of a text at most; a longer one is a file that is no log.
_LONGEST = 1024 * 1024


class Kind(IntEnum):
    """The type of a line."""

    INFORMATION = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a log.

    Attributes:
        at: the moment, in the zone of its writer; None when the line does not tell it.
        file: source file of the writer.
        damaged: the line has no attributes, or some that cannot be read.
    """

    text: str
    at: datetime | None
    component: str = ""
    kind: Kind = Kind.INFORMATION
    thread: int = 0
    file: str = ""
    damaged: bool = False


def render_line(line: LogLine) -> str:
    """Write a line as CMTrace reads it, without the line break behind it.

    The time is in the zone of `at`. The text is kept, with a space in any `]LOG]!>`.
    """
    assert line.at is not None
    offset = line.at.utcoffset() or timedelta(0)
    bias = -round(offset.total_seconds() / 60)
    time = f"{line.at:%H:%M:%S}.{line.at.microsecond // 1000:03}{bias:+d}"
    return (
        f"{_BEGIN}{line.text.replace(_END, _BROKEN_END)}{_END}"
        f'<time="{time}" date="{line.at:%m-%d-%Y}" component="{_attribute(line.component)}" '
        f'context="" type="{line.kind.value}" thread="{line.thread}" '
        f'file="{_attribute(line.file)}">'
    )


class LogReader:
    """Reads a log piece by piece: give it text as it comes, then say that it has ended.

    Nothing is refused. What cannot be read as a line of either form is a damaged line with its
    text, so that no text of the file is missing.
    """

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> Iterator[LogLine]:
        """The lines that are whole now."""
        self._rest += text
        while (found := self._next(ended=False)) is not None:
            yield found

    def end(self) -> Iterator[LogLine]:
        """The lines that are left."""
        while (found := self._next(ended=True)) is not None:
            yield found

    def _next(self, *, ended: bool) -> LogLine | None:
        self._rest = self._rest.lstrip("\r\n")
        if not self._rest:
            return None
        if self._rest.startswith(_BEGIN):
            return self._today(ended=ended)
        if not ended and _BEGIN.startswith(self._rest):
            return None
        return self._older(ended=ended)

    def _today(self, *, ended: bool) -> LogLine | None:
        """A line of today's form, which stands at the beginning of the rest."""
        start = len(_BEGIN)
        end = self._rest.find(_END, start)
        following = self._following(start, len(self._rest) if end < 0 else end)
        if following is not None:
            # The line was not ended before the next one began.
            text = self._cut(following)[start:].removesuffix("]LOG").rstrip("\r\n")
            return LogLine(text=text, at=None, damaged=True)
        if end < 0:
            if not ended and len(self._rest) < _LONGEST:
                return None
            return LogLine(text=self._cut(len(self._rest))[start:], at=None, damaged=True)
        behind = end + len(_END)
        attributes = _ATTRIBUTES.match(self._rest, behind)
        if attributes is not None:
            return _with_attributes(self._cut(attributes.end())[start:end], attributes)
        line_end = self._line_end(behind)
        if line_end is None and not ended:
            return None
        whole = self._cut(len(self._rest) if line_end is None else line_end)
        left = whole[behind:].strip()
        return LogLine(text=whole[start:end] + (f" {left}" if left else ""), at=None, damaged=True)

    def _older(self, *, ended: bool) -> LogLine | None:
        """A line of the older form, or one of no form."""
        line_end = self._line_end(0)
        if line_end is None and not ended and len(self._rest) < _LONGEST:
            return None
        whole = self._cut(len(self._rest) if line_end is None else line_end).rstrip("\r\n")
        found = _OLD.fullmatch(whole)
        if found is None:
            return LogLine(text=whole, at=None, damaged=True)
        at = _moment(found["date"], found["time"])
        return LogLine(
            text=found["text"].replace("~", "\n").strip("\n"),
            at=at,
            component=found["component"],
            thread=int(found["thread"]),
            damaged=at is None,
        )

    def _following(self, start: int, end: int) -> int | None:
        """Where another line begins before `end`: behind a line break, or behind a cut `]LOG`."""
        at = self._rest.find(_BEGIN, start, end)
        while at >= 0:
            if self._rest[at - 4 : at].endswith(("\n", "]LOG")):
                return at
            at = self._rest.find(_BEGIN, at + 1, end)
        return None

    def _line_end(self, start: int) -> int | None:
        found = self._rest.find("\n", start)
        return None if found < 0 else found

    def _cut(self, end: int) -> str:
        cut, self._rest = self._rest[:end], self._rest[end:]
        return cut


def _with_attributes(text: str, found: re.Match[str]) -> LogLine:
    others = dict(_OTHER.findall(found["others"]))
    at = _moment(found["date"], found["time"])
    kind, thread = others.get("type", ""), others.get("thread", "")
    known = kind in {"1", "2", "3"}
    return LogLine(
        text=text,
        at=at,
        component=others.get("component", ""),
        kind=Kind(int(kind)) if known else Kind.INFORMATION,
        thread=int(thread) if thread.isascii() and thread.isdecimal() else 0,
        file=others.get("file", ""),
        damaged=at is None or not known,
    )


def _moment(date: str, time: str) -> datetime | None:
    day, clock = _DATE.fullmatch(date), _TIME.fullmatch(time)
    if day is None or clock is None:
        return None
    hour, minute, second, fraction, bias = clock.groups()
    try:
        zone = UTC if bias is None else timezone(timedelta(minutes=-int(bias)))
        return datetime(
            *(int(day[3]), int(day[1]), int(day[2])),
            *(int(hour), int(minute), int(second), int((fraction or "0").ljust(6, "0"))),
            tzinfo=zone,
        )
    except ValueError:
        return None


def _attribute(text: str) -> str:
    """A text for an attribute, whose own marks it must not have."""
    return re.sub(r'["<>\r\n]', "'", text)
