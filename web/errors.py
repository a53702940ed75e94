"""What a browser or a program is told when a request cannot be answered."""

import click
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from schemas.errors import ExitCode, StatesysError
from web.headers import HEADERS
from web.page import Page, render

_log = structlog.get_logger()

#: Everything below this path answers in JSON.
API = "/api/"

#: The exit code that a command would end with -> the status of the answer.
_STATUS = {
    ExitCode.FAILED: 404,
    ExitCode.USAGE: 400,
    ExitCode.BROKER: 503,
    ExitCode.DATABASE: 503,
}
_TITLES = {
    400: "The request cannot be understood",
    401: "Who are you?",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    421: "Another host",
    422: "The request cannot be understood",
    503: "A server is away",
}


def add_error_pages(app: FastAPI) -> None:
    """Answer every error with a page, or with JSON below `/api/`."""

    @app.exception_handler(StatesysError)
    def of_ours(request: Request, error: StatesysError) -> Response:
        return answer(request, _STATUS.get(error.exit_code, 500), str(error))

    # Values are read as commands read their arguments.
    @app.exception_handler(click.UsageError)
    def of_arguments(request: Request, error: click.UsageError) -> Response:
        return answer(request, 400, error.message)

    @app.exception_handler(HTTPException)
    def of_http(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    def of_values(request: Request, error: RequestValidationError) -> Response:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'][1:]))}: {problem['msg']}"
            for problem in error.errors()
        )
        return answer(request, 422, problems)

    @app.exception_handler(Exception)
    def of_a_defect(request: Request, error: Exception) -> Response:
        _log.error("web.failed", path=request.url.path, exc_info=error)
        # The framework answers outside of all middleware, so also outside of `SecurityHeaders`.
        return answer(request, 500, "The viewer failed; its log says how.", HEADERS)


def answer(request: Request, status: int, why: str, headers: object = None) -> Response:
    """An error as a page, or as JSON for a program."""
    response: Response
    if request.url.path.startswith(API):
        response = JSONResponse({"detail": why}, status_code=status)
    else:
        title = _TITLES.get(status, "Something is wrong")
        response = render(request, "error.html", Page(title=title), status=status, why=why)
    if isinstance(headers, dict):
        response.headers.update(headers)
    return response
