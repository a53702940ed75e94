"""What all answers of the API have in common."""

from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from console.output import as_data


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


def answer(**parts: Any) -> JSONResponse:
    """An answer, in the words of the commands' `--json`."""
    return JSONResponse(as_data(parts))
