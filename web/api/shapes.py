"""The schemas of answers, made from the types of the rows: the fields are told once, there.

What is sent is `console.output.as_data` of the rows, as for `--json`. A model made here only
describes it, for the OpenAPI document.
"""

import inspect
import re
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field, create_model

from schemas.serials import SerialRanges

_Hex = Annotated[str, Field(pattern="^([0-9a-f]{2})*$")]
_Seconds = Annotated[float, Field(description="Seconds.")]
_Ranges = Annotated[list[tuple[int, int]], Field(description="First and last serial of each.")]
#: A type -> what `as_data` makes of it.
_WRITTEN: dict[Any, Any] = {bytes: _Hex, timedelta: _Seconds, SerialRanges: _Ranges}


def shape(name: str, about: str, /, **parts: Any) -> type[BaseModel]:
    """The schema of an answer.

    Args:
        name: in the OpenAPI document.
        about: what it is, in a sentence.
        parts: the type of each field.
    """
    told: Any = {part: (_written(kind), ...) for part, kind in parts.items()}
    made: type[BaseModel] = create_model(name, __doc__=about, **told)
    return made


def page(name: str, about: str, /, **parts: Any) -> type[BaseModel]:
    """The schema of a page of a list: its moment, its parts, and where the list goes on."""
    return shape(name, about, **{"as_of": datetime, **parts, "next": parts.get("next", str | None)})


def row(kind: Any, /, *, without: Collection[str] = (), **more: Any) -> type[BaseModel]:
    """The schema of a row.

    Args:
        kind: the type of the row, a NamedTuple or a dataclass.
        without: names of fields that are not sent.
        more: the type of each field that is added to it.
    """
    doc = inspect.getdoc(kind) or kind.__name__
    about = doc.split("\n\n", maxsplit=1)[0].replace("\n", " ")
    name = re.sub("(Row)?$", "", kind.__name__)
    parts = {part: hint for part, hint in _hints(kind).items() if part not in without}
    return shape(name, about, **parts, **more)


@cache
def _row(kind: Any) -> type[BaseModel]:
    return row(kind)


def _hints(kind: Any) -> dict[str, Any]:
    names = kind._fields if hasattr(kind, "_fields") else [field.name for field in fields(kind)]
    hints = get_type_hints(kind)
    return {name: hints[name] for name in names}


def _written(kind: Any) -> Any:
    if kind in _WRITTEN:
        return _WRITTEN[kind]
    if isinstance(kind, type) and (hasattr(kind, "_fields") or is_dataclass(kind)):
        return _row(kind)
    origin = get_origin(kind)
    if origin is None or origin is Annotated:
        return kind
    parts = tuple(_written(part) for part in get_args(kind))
    return reduce(or_, parts) if origin in {Union, UnionType} else origin[parts]
