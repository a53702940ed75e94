"""Where a list goes on, as one word for a command line or a URL; only we read what is in it."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter

from console.output import as_data
from schemas.errors import Unusable

Place = TypeVar("Place")

#: A place in a list, as an answer told it.
Token = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,8192}$", examples=["WzE3XQ"])]


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
