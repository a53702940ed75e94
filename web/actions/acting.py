"""How every action goes: a page that asks, then the deed with its audit entry."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Annotated, ClassVar, NamedTuple, TypeVar

import structlog
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import Field, create_model

from loader.store.audit import AuditStore
from loader.store.shared import SharedStore
from schemas.errors import StatesysError
from web.access.forms import TOKEN, access_of
from web.access.people import Person, ThePerson
from web.fields import Filter
from web.page import Page, render
from web.site import Site, TheSite

_log = structlog.get_logger()

Store = TypeVar("Store", bound=SharedStore)
Deed = Callable[[], str]

#: Name of the sessions in pg_stat_activity.
NAME = "statesys web action"


class Question(NamedTuple):
    """What a page asks before something is done.

    Attributes:
        facts: what the person should know before.
        fields: names and values that the form sends.
        possible: whether there is anything to do; without, the page has no form.
        command: if it is not the action's own.
    """

    words: str
    facts: Sequence[tuple[str, object]]
    fields: Sequence[tuple[str, object]]
    possible: bool = True
    command: str | None = None


class Action(Filter):
    """Something that an operator does, with the values that its URL and its form have.

    Attributes:
        audited: its name in the audit, and with dashes in the path.
        title: of the page that asks.
        button: the words on it.
    """

    audited: ClassVar[str]
    title: ClassVar[str]
    button: ClassVar[str]

    @property
    @abstractmethod
    def command(self) -> str:
        """The command line that does the same."""

    @abstractmethod
    def ask(self, site: Site) -> Question:
        """Look at what would be done."""

    @abstractmethod
    def deed(self, site: Site, person: Person) -> Deed:
        """What does it, and then returns what was done.

        Raises:
            HTTPException: the values say nothing that can be done; there is no audit entry then.
        """


class _Sent(Filter):
    """What every form sends too; the token is checked before the values are read."""

    form_token: Annotated[str, Field(max_length=200)] = ""


def add_action(router: APIRouter, kind: type[Action]) -> None:
    """Add the page of an action that asks, and what its form is sent to."""

    def ask(request: Request, site: TheSite, person: ThePerson, asked: Action) -> HTMLResponse:
        question = asked.ask(site)
        return render(
            request,
            "action.html",
            Page(title=kind.title, command=question.command or asked.command),
            question=question.words,
            button=kind.button,
            facts=question.facts,
            fields=[*question.fields, (TOKEN, access_of(request).form_token(person))],
            possible=question.possible,
        )

    def act(request: Request, site: TheSite, person: ThePerson, sent: Action) -> RedirectResponse:
        deed = sent.deed(site, person)
        address = request.client.host if request.client else ""
        return _done(site, person, address, sent, deed)

    form = create_model(f"Sent{kind.__name__}", __base__=(kind, _Sent))
    # The framework reads from here which values there are.
    ask.__annotations__["asked"] = Annotated[kind, Query()]
    act.__annotations__["sent"] = Annotated[form, Form()]
    path = f"/{kind.audited.replace(' ', '-')}"
    router.get(path)(ask)
    router.post(path)(act)


def _done(site: Site, person: Person, address: str, action: Action, deed: Deed) -> RedirectResponse:
    """Do it, with an audit entry that is written before, and completed after.

    Returns:
        Where the browser goes: the page of the entry.

    Raises:
        StatesysError: of the deed, after the entry says so; or the entry cannot be written, and
            nothing is done; or the deed is done, but its entry cannot be completed and stays begun.
    """
    with opened(site, AuditStore) as audit:
        entry = audit.begin(
            who=person.name, address=address, action=action.audited, command=action.command
        )
        try:
            result = deed()
        except StatesysError as error:
            audit.end(entry, str(error), failed=True)
            raise
        except BaseException as error:
            audit.end(entry, f"{type(error).__name__}; the viewer's log says more", failed=True)
            raise
        audit.end(entry, result, failed=False)
        _log.info("web.acted", who=person.name, action=action.audited, entry=entry)
    return RedirectResponse(f"/audit/{entry}", 303)


@contextmanager
def opened(site: Site, store: Callable[..., Store]) -> Iterator[Store]:
    """Open a store with the rights of an operator, after a check of the tables."""
    url = site.settings.required_operator_database_url()
    with closing(store(url, name=NAME)) as found:
        found.require_current_tables()
        yield found


def change_of(site: Site, store: Callable[..., Store], change: Callable[[Store], str]) -> Deed:
    """The deed that changes something in a store."""

    def deed() -> str:
        with opened(site, store) as found:
            return change(found)

    return deed
