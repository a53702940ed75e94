"""Pages of lists, and where a list goes on, as one word for a command line or a URL.

Only we read what is in the word.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter

from console.output import as_data
from schemas.errors import Unusable

Row = TypeVar("Row")
Place = TypeVar("Place")

#: A place in a list, as an answer told it.
Token = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,8192}$", examples=["WzE3XQ"])]


def page_of(found: Sequence[Row], limit: int) -> tuple[list[Row], Row | None]:
    """The rows of a page, and the last of them if the list goes on behind it.

    Args:
        found: the rows from the begin of the page on, one more than it holds if there is one.
        limit: rows of a page.
    """
    shown = list(found[:limit])
    return shown, shown[-1] if len(found) > limit else None


def paged(
    found: Sequence[Row], limit: int, key: Callable[[Row], tuple[object, ...]]
) -> tuple[list[Row], str | None]:
    """As `page_of`, but with the word of the last row's place.

    Args:
        key: the place of a row.
    """
    shown, last = page_of(found, limit)
    return shown, None if last is None else token(key(last))


def token(place: tuple[object, ...]) -> str:
    """Write a place: numbers, texts, moments, ids and bytes."""
    text = json.dumps(as_data(list(place)), ensure_ascii=False, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place(text: str, of: TypeAdapter[Place]) -> Place:
    """Read a place.

    Raises:
        Unusable: it is none, or one of another list.
    """
    try:
        return of.validate_json(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise Unusable(
            f"after={text[:20]}… is no place in this list: take it from `next` of its last page, "
            "or leave it out to begin"
        ) from None


def behind(text: str | None, of: type[Place]) -> Place | None:
    """The place behind which a list goes on, as the key of its rows; None is its beginning.

    Raises:
        Unusable: as `place`.
    """
    return None if text is None else place(text, TypeAdapter(of))
