"""Shows dead letters to a person."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.output import facts, table
from runtime.broker import Delivery
from runtime.broker.dead_letters import Letter, headers_of
from runtime.printable import printable, printable_text
from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.report import Report
from schemas.report_reader import parse_report
from schemas.smx import parse_batch
from schemas.topology import is_incoming


class Content(NamedTuple):
    """A range of serials of one client."""

    client_id: UUID
    first_serial: int
    last_serial: int


def contents(letter: Letter, delivery: Delivery) -> list[Content]:
    """The clients and serials in a dead letter, as far as headers and body tell them.

    A report's headers come first, because its body may be unreadable. A batch may hold many
    clients, so its body comes first.
    """
    headers = _from_headers(letter)
    if letter.queue is not None and is_incoming(letter.queue):
        return _from_batch(delivery.body) or headers
    return headers or _from_report(delivery.body)


def _from_headers(letter: Letter) -> list[Content]:
    client, first, last = letter.client_id, letter.first_serial, letter.last_serial
    if client is None or first is None or last is None or first > last:
        return []
    return [Content(client, first, last)]


def _from_report(body: bytes) -> list[Content]:
    try:
        return _singles(parse_report(body))
    except Refused:
        return []


def _from_batch(body: bytes) -> list[Content]:
    try:
        batch = parse_batch(body, any_format=True)
        return [single for smx in batch.smx for single in _singles(smx.report)]
    except Refused:
        return []


def _singles(report: Report) -> list[Content]:
    return [Content(report.client_id, serial, serial) for serial in report.serials]


_BOMS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8"))
#: Without a byte-order mark, a zero byte beside `<` means UTF-16.
_HEADS = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))


def list_table(letters: Sequence[Letter]) -> Table:
    """A table with one line for each dead letter; `show` takes its number."""
    columns = ["#", "id", "stage", "reason", "queue", "client", "serials", "first refused", "bytes"]
    rows = [
        (
            number,
            letter.name,
            letter.stage,
            letter.reason,
            letter.queue or "unknown",
            letter.client,
            letter.serials,
            letter.first_refused_at[:19],
            letter.size,
        )
        for number, letter in enumerate(letters, 1)
    ]
    return table(columns, rows, right=["#", "bytes"])


def show_letter(letter: Letter, delivery: Delivery, console: Console) -> None:
    """Print a dead letter: why it was refused, its headers, its body as text."""
    console.print(
        facts(
            [
                ("id", letter.name),
                ("stage", letter.stage),
                ("reason", reason_words(letter.reason)),
                ("detail", letter.detail),
                ("queue", letter.queue or "unknown: cannot be replayed"),
                ("first refused", letter.first_refused_at or "unknown"),
                ("bytes", letter.size),
            ],
            title="letter",
        )
    )
    headers = [(printable(k), printable(v)) for k, v in headers_of(delivery.properties).items()]
    console.print(facts(headers, title="headers"))
    text, exact = readable(delivery.body)
    console.print(Text("body" + ("" if exact else " (bytes that are no text are replaced)")))
    console.print(Text(text), soft_wrap=True)


def readable(body: bytes) -> tuple[str, bool]:
    """A body as text: by its byte-order mark, else as UTF-8.

    Returns:
        The text without control characters, and whether every byte could be read.
    """
    encoding, skip = "utf-8", 0
    for mark, name in _BOMS:
        if body.startswith(mark):
            encoding, skip = name, len(mark)
            break
    else:
        encoding = next((name for head, name in _HEADS if body.startswith(head)), encoding)
    raw = body[skip:]
    try:
        text, exact = raw.decode(encoding), True
    except UnicodeDecodeError:
        text, exact = raw.decode(encoding, errors="replace"), False
    return printable_text(text), exact


def reason_words(reason: str) -> str:
    """A refusal reason with its meaning, as far as it is one of ours."""
    meaning = next((known.meaning for known in Reason if known.value == reason), None)
    return reason if meaning is None else f"{reason}: {meaning}"
