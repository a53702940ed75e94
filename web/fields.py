"""Values in URLs: an empty field of a form is a value that is not given."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import click
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from console.places import Token
from console.topic_type import TopicType as NamedTopicType
from runtime.options import ClientType, GivenClient, MomentType
from runtime.settings import Duration
from schemas.report import MAX_NAME_LENGTH
from schemas.serials import FIRST_SERIAL, LAST_SERIAL

Value = TypeVar("Value")


#: What a person leaves in a field. Python and JavaScript each count other characters as space.
_SPACE = " \t\r\n"
#: What is as good as no value, in the document of the API.
BLANK = {"type": "string", "pattern": r"^[ \t\r\n]*$"}


def _none_if_blank(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip(_SPACE) else value


class _Blank:
    """Tells the document that an empty text is allowed."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(core), BLANK]}


#: A value that may be left out or empty.
Optional = Annotated[Value | None, BeforeValidator(_none_if_blank), _Blank]
#: Text of a person, such as a pattern; PostgreSQL stores no NUL.
Text = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]
#: A length of time, as `7d`.
Length = Annotated[
    Duration,
    WithJsonSchema(
        {"type": "string", "examples": ["7d"], "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|min|h|d)\s*$"}
    ),
]
Age = Optional[Length]


def _read_by(kind: click.ParamType[Any]) -> Callable[[Any], Any]:
    """Reads a value as the commands do."""

    def read(value: Any) -> Any:
        try:
            return kind.convert(value, None, None)
        except click.BadParameter as error:
            raise ValueError(error.message) from None

    return read


#: A moment as ISO 8601; UTC unless it names another zone. pydantic alone would take numbers, too.
Moment = Annotated[
    datetime,
    BeforeValidator(_read_by(MomentType())),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
#: A client: its id, or its name in any letter case.
Client = Annotated[
    GivenClient,
    BeforeValidator(_read_by(ClientType())),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME_LENGTH,
            "examples": ["NB-000017", "GUID:AA9C5F9F-24C2-4B2A-8C4E-0A1B2C3D4E5F"],
        }
    ),
]
#: A topic type: its number, or its name in the catalogue.
Topic = Annotated[
    int,
    BeforeValidator(_read_by(NamedTopicType())),
    WithJsonSchema({"type": "string", "examples": ["301", "SUM_ASSIGNMENT_COMPLIANCE"]}),
]
#: A topic type, as PostgreSQL stores it.
TopicType = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
#: The id of a topic, as a report carries it.
TopicId = Annotated[str, Field(max_length=MAX_NAME_LENGTH, pattern=r"^[^\x00]*$")]
#: The number of a message.
Serial = Annotated[int, Field(ge=FIRST_SERIAL, le=LAST_SERIAL)]


class Filter(BaseModel):
    """The values of a list's URL; unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    def text(self, name: str) -> str:
        """One value as text for a form; empty when it is not given."""
        return self.with_values().get(name, "")

    def url(self, path: str, **changed: object) -> str:
        """These values at a path, some of them changed."""
        return f"{path}?{urlencode(self.with_values(**changed))}".rstrip("?")

    def whole(self, path: str) -> str:
        """The URL of the whole list."""
        return self.url(path, after=None, limit=None)

    def following(self, after: object | None) -> str | None:
        """What the URL of the next page has behind its path; None if there is none."""
        return None if after is None else urlencode(self.with_values(after=after))

    def with_values(self, **changed: object) -> dict[str, str]:
        """The values that are given, as text for a URL, some of them changed."""
        given = {**self.model_dump(mode="json", exclude_defaults=True), **changed}
        return {name: str(value) for name, value in given.items() if value is not None}


#: How many entries a page has.
Limit = Annotated[int, Field(ge=1, le=1000, description="Entries at most.")]
#: Where a list goes on.
After = Annotated[
    Optional[Token], Field(description="Goes on where the last page said: its `next`.")
]


class Listed(Filter):
    """The values of a list without restrictions."""

    after: After = None
    limit: Limit = 50
