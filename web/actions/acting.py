"""How every action goes: a page that asks, then the deed with its audit entry."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Annotated, TypeVar

import click
import structlog
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BeforeValidator, Field

from loader.store.audit import AuditStore
from loader.store.shared import SharedStore
from runtime.options import ClientType, GivenClient
from schemas.errors import StatesysError
from web.access.forms import TOKEN, access_of
from web.access.people import Person
from web.fields import Filter
from web.page import Page, render
from web.site import Site

_log = structlog.get_logger()

Store = TypeVar("Store", bound=SharedStore)

#: Name of the sessions in pg_stat_activity.
NAME = "statesys web action"


def _client(value: object) -> object:
    try:
        return ClientType().convert(value, None, None)
    except click.BadParameter as error:
        raise ValueError(error.message) from None


#: A client, by id or name.
Client = Annotated[GivenClient, BeforeValidator(_client)]


class Sent(Filter):
    """The values of a form; the token is checked before they are read."""

    form_token: Annotated[str, Field(max_length=200)] = ""


@contextmanager
def opened(site: Site, store: Callable[..., Store]) -> Iterator[Store]:
    """Open a store with the rights of an operator, after a check of the tables."""
    url = site.settings.required_operator_database_url()
    with closing(store(url, name=NAME)) as found:
        found.require_current_tables()
        yield found


def ask(
    request: Request,
    person: Person,
    *,
    title: str,
    question: str,
    button: str,
    command: str,
    facts: Sequence[tuple[str, object]] = (),
    fields: Sequence[tuple[str, object]] = (),
    possible: bool = True,
) -> HTMLResponse:
    """A page that says what would be done, with the form that does it.

    Args:
        button: the words on it.
        facts: what the person should know before.
        fields: names and values that the form sends.
        possible: whether there is anything to do; without, the page has no form.
    """
    return render(
        request,
        "action.html",
        Page(title=title, command=command),
        question=question,
        button=button,
        facts=facts,
        fields=[*fields, (TOKEN, access_of(request).form_token(person))],
        possible=possible,
    )


def act(
    request: Request,
    site: Site,
    person: Person,
    *,
    action: str,
    command: str,
    deed: Callable[[], str],
) -> RedirectResponse:
    """Do it, with an audit entry that is written before, and completed after.

    Args:
        action: in one word.
        command: the command line that does the same.
        deed: does it, and returns what was done.

    Returns:
        Where the browser goes: the page of the entry.

    Raises:
        StatesysError: of the deed, after the entry says so; or the entry cannot be written, and
            nothing is done; or the deed is done, but its entry cannot be completed and stays begun.
    """
    address = request.client.host if request.client else ""
    with opened(site, AuditStore) as audit:
        entry = audit.begin(who=person.name, address=address, action=action, command=command)
        try:
            result = deed()
        except StatesysError as error:
            audit.end(entry, str(error), failed=True)
            raise
        except BaseException as error:
            audit.end(entry, f"{type(error).__name__}; the viewer's log says more", failed=True)
            raise
        audit.end(entry, result, failed=False)
        _log.info("web.acted", who=person.name, action=action, entry=entry)
    return RedirectResponse(f"/audit/{entry}", 303)
