"""Lists on the console: the option, the same rows as a table or CSV, and how a list goes on."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from console.csv_output import print_csv
from console.output import stdout, table


def limit_option(noun: str, *, default: int = 50) -> Callable[[Any], Any]:
    """The option `--limit`.

    Args:
        noun: what the list has, in the plural and with a capital.
        default: how many of them without the option.
    """
    return click.option(
        "--limit",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help=f"{noun} at most.",
    )


def print_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    as_csv: bool,
    right: Iterable[str] = (),
) -> None:
    """Print rows on stdout as CSV, or as a table in which the columns `right` are numbers."""
    if as_csv:
        print_csv(columns, rows)
    else:
        stdout().print(table(columns, rows, right=right))


def going_on(following: object | None) -> str:
    """How to see the rest of a list, to put behind its count; nothing when it ends."""
    return "" if following is None else f"; there are more: --after {following}"
