"""What all answers of the API have in common."""

from typing import Annotated, Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from console.output import as_data
from console.places import Token
from web.fields import Filter, Optional


class Problem(BaseModel):
    """Why a request cannot be answered, and what to do about it."""

    detail: str


def _problem(why: str) -> dict[str, Any]:
    return {"model": Problem, "description": why}


#: The errors of every path, for the OpenAPI document.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("Values that contradict each other, or a name that several clients have."),
    404: _problem("There is no such client, topic, message or collection."),
    422: _problem("A value cannot be read; `detail` names it."),
    503: _problem("A server is away, or too busy; try again."),
}

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


def answer(**parts: Any) -> JSONResponse:
    """An answer, in the words of the commands' `--json`."""
    return JSONResponse(as_data(parts))
