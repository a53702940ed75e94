"""`statesys log show`: reads logs that ConfigMgr's programs and ours write."""

import codecs
import os
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import IO, Any

import click

from console.output import print_json_line
from runtime.options import json_option
from runtime.printable import printable_text
from schemas.cmtrace import Kind, LogLine, LogReader
from schemas.errors import StatesysError

_KINDS = {"information": Kind.INFORMATION, "warning": Kind.WARNING, "error": Kind.ERROR}
_COLOURS = {Kind.WARNING: "yellow", Kind.ERROR: "red"}
#: Bytes read at a time; seconds between two looks at a file that is followed.
_PIECE, _LOOK = 64 * 1024, 0.25
#: Byte order marks, and the encodings that they stand for.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _as_windows_wrote(error: UnicodeError) -> tuple[str, int]:
    """Read bytes that are no UTF-8 as Windows programs wrote them before they used it."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("statesys.cp1252", _as_windows_wrote)


@click.group()
def log() -> None:
    """Read logs of ConfigMgr and of statesys."""


@log.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--level",
    type=click.Choice(list(_KINDS)),
    default="information",
    show_default=True,
    help="Only lines of this type and worse.",
)
@click.option("--follow", is_flag=True, help="Go on with what is appended, until Ctrl-C.")
@click.option("--utc", is_flag=True, help="Show moments in UTC, not in the writer's zone.")
@json_option
def show(*, file: Path, level: str, follow: bool, utc: bool, as_json: bool) -> None:
    """Show a log that CMTrace can read: today's form, or the older one of servers.

    A line that is damaged is shown as far as it can be read, with a question mark. With --json,
    each line of the output is one document.

    \b
    Example:
      statesys log show statemessage.log --level warning
      statesys log show mp_relay.log --follow --utc
    """
    least = _KINDS[level]
    try:
        for line in _lines(file, follow=follow):
            if line.kind >= least:
                _show(line, utc=utc, as_json=as_json)
    except OSError as error:
        raise StatesysError(f"cannot read {file}: {error.strerror}") from None


def _lines(path: Path, *, follow: bool) -> Iterator[LogLine]:
    """Every line of a file; of the file that takes its place, too, when it is followed."""
    while True:
        with path.open("rb") as file:
            reader = LogReader()
            mark = file.read(3)
            file.seek(0)
            encoding = next((name for bom, name in _MARKS if mark.startswith(bom)), "utf-8")
            decoder = codecs.getincrementaldecoder(encoding)(
                "replace" if encoding == "utf-16" else "statesys.cp1252"
            )
            while True:
                piece = file.read(_PIECE)
                if piece:
                    yield from reader.feed(decoder.decode(piece))
                elif not follow or _replaced(path, file):
                    break
                else:
                    time.sleep(_LOOK)
            yield from reader.feed(decoder.decode(b"", final=True))
            yield from reader.end()
        if not follow:
            return


def _replaced(path: Path, file: IO[bytes]) -> bool:
    """Whether another file stands in the place of an open one, or it was emptied."""
    opened = os.fstat(file.fileno())
    try:
        found = path.stat()
    except FileNotFoundError:
        # Between its move and the new file.
        return False
    return (found.st_ino, found.st_dev) != (opened.st_ino, opened.st_dev) or (
        found.st_size < file.tell()
    )


def _show(line: LogLine, *, utc: bool, as_json: bool) -> None:
    at = line.at if line.at is None or not utc else line.at.astimezone(UTC)
    if as_json:
        print_json_line(_data(line, at))
        return
    moment = "-" if at is None else at.isoformat(sep=" ", timespec="milliseconds")
    mark = "? " if line.damaged else ""
    where = " ".join(filter(None, [line.component, str(line.thread or "")]))
    first, *others = printable_text(line.text.strip()).split("\n")
    text = "\n".join([first, *(f"    {other}" for other in others)])
    shown = f"{moment}  {where}  {mark}{text}"
    click.echo(click.style(shown, fg=_COLOURS.get(line.kind)))


def _data(line: LogLine, at: Any) -> dict[str, Any]:
    return {
        "at": at,
        "type": line.kind.name.lower(),
        "component": line.component,
        "thread": line.thread,
        "file": line.file,
        "text": line.text,
        "damaged": line.damaged,
    }
