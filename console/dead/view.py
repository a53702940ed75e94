"""Shows dead letters to a person."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.output import facts, table
from runtime.broker import Delivery
from runtime.broker.dead_letters import Letter, headers_of
from runtime.printable import printable, printable_text
from schemas.refusal import Reason

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
