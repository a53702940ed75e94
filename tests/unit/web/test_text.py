"""Places in URLs, and bytes for people."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from console.places import behind, token
from console.queries.missing import RangeKey
from schemas.errors import Unusable
from web.pages.dead import hexdump

KEY = RangeKey(datetime(2026, 3, 2, 8, 0, 0, 123456, tzinfo=UTC), UUID(int=7), 42)


def test_a_place_is_read_as_it_was_written() -> None:
    assert behind(token(KEY), RangeKey) == KEY


@pytest.mark.parametrize(
    "text", ["", "1", "WzFd", token(("now", "x", 1)), token((*KEY, 1)), token(KEY)[:-4]]
)
def test_another_text_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(Unusable, match="or leave it out to begin"):
        behind(text, RangeKey)


def test_a_dump_has_places_values_and_ascii() -> None:
    lines = hexdump(b"<a>\x00\xff" + bytes(range(14))).split("\n")
    assert lines[0].startswith("00000000  3c 61 3e 00 ff 00 01")
    assert lines[0].endswith("|<a>.............|")
    assert lines[1].startswith("00000010  0b 0c 0d ")
    assert lines[1].index("|") == lines[0].index("|")
    assert hexdump(b"") == ""
