"""CSV that a spreadsheet shows and never runs."""

import csv
import sys
from collections.abc import Iterable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from console.output import as_data
from runtime.options import Command
from runtime.printable import printable_text

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

#: A spreadsheet takes a text that begins with one of these for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a header and rows; see `write_csv`."""
    write_csv(sys.stdout, [columns])
    write_csv(sys.stdout, rows)


def write_csv(file: "SupportsWrite[str]", rows: Iterable[Sequence[Any]]) -> None:
    """Write rows, one line each, as RFC 4180 has it.

    Moments are ISO 8601. A text that a spreadsheet would take for a formula gets an apostrophe
    before it; numbers stay as they are.
    """
    writer = csv.writer(file, lineterminator="\r\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])


def _cell(value: object) -> str:
    if value is None:
        return ""
    data = as_data(value)
    if isinstance(data, (int, float)):
        return str(data)
    text = printable_text(str(data))
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_option(command: Command) -> Command:
    """Add the option `--csv`, the list for a spreadsheet; `--json` excludes it.

    Raises:
        click.UsageError: from the command, when both are given.
    """

    @wraps(command)
    def one_of_both(*, as_csv: bool, as_json: bool, **given: Any) -> Any:
        if as_csv and as_json:
            raise click.UsageError("--csv and --json exclude each other")
        return command(as_csv=as_csv, as_json=as_json, **given)

    option = click.option(
        "--csv", "as_csv", is_flag=True, help="Print CSV on stdout instead of a table."
    )
    return option(one_of_both)
