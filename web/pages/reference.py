"""`/api`: the reference of the API, drawn from its OpenAPI document."""

import shlex
from typing import Any, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from web.fields import BLANK
from web.page import Page, render

router = APIRouter()

#: Values of an example where the schema has none.
_EXAMPLES = {"client": "NB-000017", "name": "Waiting", "serial": "17", "topic_type": "301"}
_ID = "aa9c5f9f-24c2-4b2a-8c4e-0a1b2c3d4e5f"


class Parameter(NamedTuple):
    """A value in a path or a query."""

    name: str
    where: str
    kind: str
    required: bool
    default: str
    about: str


class Operation(NamedTuple):
    """A path with its values and answers."""

    path: str
    about: str
    parameters: list[Parameter]
    answers: list[tuple[str, str, str]]
    example: str


class Schema(NamedTuple):
    """An object in answers: name, sentence, and name and type of each field."""

    name: str
    about: str
    fields: list[tuple[str, str]]


@router.get("/api")
def reference(request: Request) -> HTMLResponse:
    """Every path of the API with its values, answers and an example."""
    document = request.app.openapi()
    base = str(request.base_url).rstrip("/")
    return render(
        request,
        "reference.html",
        Page(title="API"),
        about=document["info"]["description"],
        operations=[
            _operation(path, methods["get"], base) for path, methods in document["paths"].items()
        ],
        schemas=[
            Schema(
                name,
                schema.get("description", ""),
                [(field, kind_of(inner)) for field, inner in schema.get("properties", {}).items()],
            )
            for name, schema in document["components"]["schemas"].items()
        ],
    )


def kind_of(schema: dict[str, Any]) -> str:
    """The type of a value in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        kinds = [kind_of(one) for one in schema["anyOf"] if one != BLANK]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type", "any"))


def _operation(path: str, operation: dict[str, Any], base: str) -> Operation:
    parameters = [_parameter(one) for one in operation.get("parameters", ())]
    answers = [
        (status, _answer(one), one["description"].replace("Successful Response", ""))
        for status, one in operation["responses"].items()
    ]
    asked = path
    for one in parameters:
        if one.where == "path":
            asked = asked.replace(f"{{{one.name}}}", quote(_EXAMPLES.get(one.name, _ID)))
    return Operation(
        path,
        operation.get("description", ""),
        parameters,
        answers,
        f"curl {shlex.quote(base + asked)}",
    )


def _parameter(one: dict[str, Any]) -> Parameter:
    schema = one["schema"]
    return Parameter(
        one["name"],
        one["in"],
        kind_of(schema).replace(" or null", ""),
        one.get("required", False),
        str(schema.get("default", "")),
        one.get("description", ""),
    )


def _answer(one: dict[str, Any]) -> str:
    return ", ".join(kind_of(content["schema"]) for content in one.get("content", {}).values())
