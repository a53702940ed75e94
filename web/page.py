"""What every page has beside its own content, and how templates draw it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.templating import Jinja2Templates

from console.names import state_name, topic_name
from console.output import age, moment, size
from runtime.printable import printable_text
from web.access.people import may_act

#: Directory of what the browser loads beside the pages.
STATIC = str(files("web") / "static")


@dataclass(frozen=True, kw_only=True)
class Page:
    """What stands around the content of a page.

    Attributes:
        title: of the page and its tab.
        command: the command that says the same; empty when there is none.
        as_of: the moment of the numbers.
        completeness: the sentence that stands beside counts of clients.
        csv: URL of the same list as CSV.
    """

    title: str
    command: str = ""
    as_of: datetime | None = None
    completeness: str | None = None
    csv: str | None = None


def command_line(command: str, options: Mapping[str, str] | None = None, *arguments: object) -> str:
    """Write the command that says the same as a page, ready to be copied into a shell.

    Args:
        command: such as `statesys clients`.
        options: values by the name of the option without dashes.
        arguments: those without an option.
    """
    words = [str(argument) for argument in arguments]
    for name, value in (options or {}).items():
        words += [f"--{name.replace('_', '-')}", value]
    return " ".join([command, *map(shlex.quote, words)])


def render(
    request: Request, template: str, page: Page, /, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Draw a page from a template of `web/templates`."""
    context = {"page": page, **values}
    return _TEMPLATES.TemplateResponse(request, template, context, status_code=status)


def fragment(template: str, /, **values: Any) -> str:
    """Draw a part of a page, as a page that includes it does."""
    return _TEMPLATES.env.get_template(template).render(values)


def _shown(value: object) -> object:
    """Make control and bidirectional characters of any text visible, as `printable` says."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup) and not value.isprintable():
        return printable_text(value)
    return value


def _time(value: datetime | None) -> Markup:
    """A moment in UTC; the script adds the viewer's own zone."""
    if value is None:
        return Markup("-")
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), moment(value))


def _age(value: datetime | None, now: datetime) -> str:
    return "-" if value is None else f"{age(max(now - value, timedelta(0)))} ago"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _fact(value: object) -> object:
    """A value of any kind, as a table of names and values shows it."""
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _number(value)
    return "-" if value is None or value == "" else str(value)


def _segment(value: object) -> str:
    """A text as one part of a URL's path, whatever is in it."""
    return quote(str(value), safe="")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every expression of every template goes through this.
        finalize=_shown,
    )
    environment.filters.update(
        time=_time, ago=_age, number=_number, bytes=size, duration=age, short=_short
    )
    environment.filters.update(fact=_fact, segment=_segment)
    environment.globals.update(state_name=state_name, topic_name=topic_name, may_act=may_act)
    return environment


def _short(value: UUID) -> str:
    return str(value)[:8]


_TEMPLATES = Jinja2Templates(env=_environment())
