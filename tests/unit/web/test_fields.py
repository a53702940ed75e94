"""Values in URLs."""

import re

import pytest
from pydantic import TypeAdapter, ValidationError

from web.fields import BLANK, Optional

NUMBER: TypeAdapter[int | None] = TypeAdapter(Optional[int])


@pytest.mark.parametrize("text", ["", " ", "\t", "\r\n"])
def test_a_field_that_is_left_blank_is_no_value(text: str) -> None:
    assert NUMBER.validate_python(text) is None
    assert re.match(BLANK["pattern"], text)


# str.strip takes all of these for space; a JSON schema takes only some of them.
@pytest.mark.parametrize("text", ["\x1e", "\x85", "\u2003", "\u3000"])
def test_other_characters_are_not_blank_for_the_reader_nor_for_the_document(text: str) -> None:
    assert not re.match(BLANK["pattern"], text)
    with pytest.raises(ValidationError):
        NUMBER.validate_python(text)
