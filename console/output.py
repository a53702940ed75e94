"""Data on stdout: a table for a person, JSON for a program."""

import json
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import click
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from runtime.printable import as_json, printable
from runtime.standard_streams import shows_any_character
from schemas.serials import SerialRanges

#: Columns of a table, on a narrow terminal too: an id that is broken over lines cannot be copied,
#: and a line that the terminal wraps can.
_WIDE = 1000


def stdout() -> Console:
    """Where tables go; colours only on a terminal and without NO_COLOR."""
    return Console(
        file=sys.stdout,
        width=_WIDE,
        force_terminal=sys.stdout.isatty(),
        highlight=False,
        soft_wrap=True,
    )


def print_json(value: Any) -> None:
    """One JSON document on stdout; in ASCII where stdout lacks characters.

    The stream's own escapes are none of JSON's.
    """
    click.echo(json.dumps(as_data(value), ensure_ascii=not shows_any_character(), indent=2))


def as_data(value: Any) -> Any:
    """A value as JSON knows it: moments as ISO 8601, durations in seconds, bytes in hex."""
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            return convert(value)
    return as_json(value)


_CONVERSIONS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (datetime, datetime.isoformat),
    (timedelta, timedelta.total_seconds),
    (Enum, lambda value: value.value),
    (UUID, str),
    (bytes, bytes.hex),
    (SerialRanges, lambda value: [list(run) for run in value]),
    (dict, lambda value: {str(as_data(key)): as_data(inner) for key, inner in value.items()}),
    (list, lambda value: [as_data(inner) for inner in value]),
    (
        tuple,
        lambda value: as_data(value._asdict() if hasattr(value, "_asdict") else list(value)),
    ),
)


class Table:
    """Rows under one another, for rich to print; its own tables take a second for a thousand rows.

    Args:
        columns: headings; empty for none.
        rows: as many cells each as there are columns.
        right: numbers of the columns that end together.
        styles: of columns, by number.
    """

    def __init__(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        title: str | None,
        right: Container[int] = (),
        styles: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self._columns = columns
        self._rows = [[_cell(value) for value in row] for row in rows]
        self._title = title
        self._right = right
        self._styles = styles

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        """The lines, in pieces of one style."""
        bold = console.get_style("bold")
        if self._title:
            yield Segment(self._title, bold)
            yield Segment.line()
        headings: list[Sequence[str | Text]] = [self._columns] if self._columns else []
        lines = [*headings, *self._rows]
        widths = [max(_width(cell) for cell in column) for column in zip(*lines, strict=True)]
        styles = {number: console.get_style(name) for number, name in self._styles.items()}
        for count, line in enumerate(lines):
            heading = bold if count < len(headings) else None
            for number, (cell, width) in enumerate(zip(line, widths, strict=True)):
                style = heading or styles.get(number)
                blank = " " * (width - _width(cell))
                if number in self._right:
                    yield Segment(blank)
                if isinstance(cell, Text):
                    own = console.get_style(cell.style)
                    yield from Segment.apply_style(cell.render(console), own)
                else:
                    yield Segment(cell, style)
                if number not in self._right:
                    yield Segment(blank)
                if number < len(widths) - 1:
                    yield Segment("  ")
            yield Segment.line()


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    right: Iterable[str] = (),
) -> Table:
    """A table of harmless texts; nothing in it is read as markup.

    Args:
        right: names of the columns that are numbers.
    """
    numbers = set(right)
    at = {number for number, column in enumerate(columns) if column in numbers}
    return Table(columns, rows, title=title, right=at)


def facts(rows: Iterable[tuple[str, object]], *, title: str | None = None) -> Table:
    """A table of names and values."""
    return Table([], rows, title=title, styles={0: "dim"})


def moment(value: datetime | None) -> str:
    """A moment in UTC, to the second; a dash for none."""
    return "-" if value is None else value.strftime("%Y-%m-%d %H:%M:%S")


def age(value: timedelta | float) -> str:
    """A duration in the two largest units: `3 d 4 h`, `12 min 5 s`, `0.35 s`."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if abs(seconds) < 10:
        return f"{seconds:.2f} s"
    parts, left = [], round(abs(seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    return ("-" if seconds < 0 else "") + " ".join(parts[:2])


def counted(count: int, noun: str) -> str:
    """A count with its noun: `1 letter`, `2 letters`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _cell(value: object) -> str | Text:
    if isinstance(value, Text):
        # Spaces behind it, not a new line.
        value.end = ""
        return value
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return moment(value)
    return printable(value, limit=_WIDE)


def _width(cell: str | Text) -> int:
    return cell.cell_len if isinstance(cell, Text) else cell_len(cell)
