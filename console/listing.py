"""Lists by pages: the option, the end of a page, and the same rows as a table or CSV."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from console.csv_output import print_csv
from console.output import stdout, table

Row = TypeVar("Row")


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


def cut(found: Sequence[Row], limit: int) -> tuple[Sequence[Row], Row | None]:
    """The rows of a page, and the last of them if the list goes on.

    Args:
        found: one row more than the page has, if there are so many.
        limit: rows of a page.
    """
    shown = found[:limit]
    return shown, shown[-1] if len(found) > limit else None


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
