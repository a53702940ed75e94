"""Data on stdout: a table for a person, JSON for a program."""

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from runtime.printable import as_json, printable
from runtime.standard_streams import shows_any_character
from schemas.serials import SerialRanges

if TYPE_CHECKING:
    # rich is imported late, here and below: JSON and CSV need none of it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

#: Width of a table in characters, on a narrow terminal too: an id that rich breaks over lines
#: cannot be copied; a line that the terminal wraps can.
_WIDE = 1000
_KIB = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
#: From here on, a size is shown without a decimal place.
_WHOLE = 9.95
#: The look of all tables.
_PLAIN: dict[str, Any] = {
    "title_justify": "left",
    "title_style": "bold",
    "box": None,
    "pad_edge": False,
}


def stdout() -> "Console":
    """The console for tables on stdout; with colours only on a terminal and without NO_COLOR."""
    from rich.console import Console  # noqa: PLC0415

    return Console(
        file=sys.stdout,
        width=_WIDE,
        force_terminal=sys.stdout.isatty(),
        highlight=False,
        soft_wrap=True,
    )


def print_json(value: Any) -> None:
    """Print one JSON document on stdout; in ASCII where stdout lacks characters.

    The escapes that the stream itself would write are not valid JSON.
    """
    click.echo(json.dumps(as_data(value), ensure_ascii=not shows_any_character(), indent=2))


def print_json_line(value: Any) -> None:
    """Print one JSON document in one line, for output that goes on."""
    click.echo(json.dumps(as_data(value), ensure_ascii=not shows_any_character()))


def as_data(value: Any) -> Any:
    """A value in JSON's types: moments as ISO 8601, durations in seconds, bytes in hex."""
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


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    right: Iterable[str] = (),
) -> "Table":
    """A table of printable texts; rich reads nothing in it as markup.

    Args:
        right: names of the columns that are numbers.
    """
    from rich.table import Table  # noqa: PLC0415

    numbers = set(right)
    made = Table(title=title, **_PLAIN)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def facts(rows: Iterable[tuple[str, object]], *, title: str | None = None) -> "Table":
    """A table of names and values."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(title=title, show_header=False, **_PLAIN)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(Text(name), _cell(value))
    return made


def moment(value: datetime | None) -> str:
    """A moment in UTC, to the second; a dash for None."""
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


def size(count: int) -> str:
    """A number of bytes in the largest unit that fits: `812 B`, `3.4 MiB`, `52 GiB`."""
    value, units = float(count), deque(_UNITS)
    # 1023.5 would be shown as 1,024.
    while value >= _KIB - 0.5 and len(units) > 1:
        value /= _KIB
        units.popleft()
    small = value < _WHOLE and units[0] != _UNITS[0]
    return f"{value:,.{1 if small else 0}f} {units[0]}"


def counted(count: int, noun: str) -> str:
    """A count with its noun: `1 letter`, `2 letters`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _cell(value: object) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    if isinstance(value, Text):
        return value
    if isinstance(value, bool):
        return Text("yes" if value else "")
    if isinstance(value, int):
        return Text(f"{value:,}")
    if isinstance(value, datetime):
        return Text(moment(value))
    return Text(printable(value, limit=_WIDE))
