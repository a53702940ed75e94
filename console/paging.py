"""Pages of lists."""

from collections.abc import Sequence
from typing import TypeVar

Row = TypeVar("Row")


def page_of(found: Sequence[Row], limit: int) -> tuple[list[Row], Row | None]:
    """The rows of a page, and the last of them if the list goes on behind it.

    Args:
        found: the rows from the begin of the page on, one more than it holds if there is one.
        limit: rows of a page.
    """
    shown = list(found[:limit])
    return shown, shown[-1] if len(found) > limit else None
