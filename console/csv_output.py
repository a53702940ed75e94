"""CSV on stdout, which a spreadsheet shows and never runs."""

import csv
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from console.output import as_data

#: A spreadsheet takes a text that begins with one of these for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a header and rows, one line each, as RFC 4180 has it.

    Moments are ISO 8601. A text that a spreadsheet would take for a formula gets an apostrophe
    before it; numbers stay as they are.
    """
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])


def _cell(value: object) -> str:
    if value is None:
        return ""
    data = as_data(value)
    if isinstance(data, (int, float)):
        return str(data)
    text = str(data)
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_option(command: Any) -> Any:
    """Add the option `--csv`: the list for a spreadsheet."""
    return click.option(
        "--csv", "as_csv", is_flag=True, help="Print CSV on stdout instead of a table."
    )(command)
