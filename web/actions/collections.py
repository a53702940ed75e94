"""`/actions/create-collection` and `/actions/delete-collection`."""

from typing import Annotated

from fastapi import Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import Field

from console.collections import changing
from console.collections.gather import known
from loader.store.collections import CollectionStore
from runtime.collection_rules import parse_rule, require_collection_name
from web.access.forms import guarded_router
from web.access.people import ThePerson
from web.actions.acting import Sent, act, ask, opened
from web.command import command_line
from web.fields import Filter, Text
from web.site import TheSite

router = guarded_router()


class Named(Filter):
    """Which collection."""

    name: Text


class Made(Named):
    """A collection to be made."""

    rule: Annotated[str, Field(max_length=16 * 1024, pattern=r"^[^\x00]*$")]
    replace: bool = False

    @property
    def command(self) -> str:
        """The command that does the same."""
        words = command_line("statesys collections create", None, self.name, self.rule)
        return f"{words} --replace" if self.replace else words


class _Create(Made, Sent):
    pass


class _Delete(Named, Sent):
    pass


@router.get("/create-collection")
def ask_create(
    request: Request, site: TheSite, person: ThePerson, asked: Annotated[Made, Query()]
) -> HTMLResponse:
    """Whom the rule picks out now."""
    require_collection_name(asked.name)
    rule = parse_rule(asked.rule)
    facts: list[tuple[str, object]] = [("Name", asked.name), ("Rule", asked.rule)]
    with site.readers.snapshot() as queries:
        if queries.countable():
            facts.append(("Members now", sum(queries.member_conditions(rule).values())))
        if (found := queries.collection(asked.name)) is not None:
            facts.append(("Its rule until now", found.rule))
    return ask(
        request,
        person,
        title="Make a collection",
        question="Give the collection this rule?" if asked.replace else "Make this collection?",
        facts=facts,
        button="Make it",
        command=asked.command,
        fields=[("name", asked.name), ("rule", asked.rule), ("replace", asked.replace)],
    )


@router.post("/create-collection")
def create(
    request: Request, site: TheSite, person: ThePerson, sent: Annotated[_Create, Form()]
) -> RedirectResponse:
    """Make it."""

    def deed() -> str:
        with opened(site, CollectionStore) as store:
            return changing.make(store, sent.name, sent.rule, replace=sent.replace)

    return act(request, site, person, action="create collection", command=sent.command, deed=deed)


@router.get("/delete-collection")
def ask_delete(
    request: Request, site: TheSite, person: ThePerson, asked: Annotated[Named, Query()]
) -> HTMLResponse:
    """What would be lost."""
    with site.readers.snapshot() as queries:
        found = known(queries, asked.name)
    return ask(
        request,
        person,
        title="Delete a collection",
        question="Delete this collection, and who joined it when? Its clients stay as they are.",
        facts=[("Name", found.name), ("Rule", found.rule), ("Members", found.members)],
        button="Delete it",
        command=_deleting(found.name),
        fields=[("name", found.name)],
    )


@router.post("/delete-collection")
def delete(
    request: Request, site: TheSite, person: ThePerson, sent: Annotated[_Delete, Form()]
) -> RedirectResponse:
    """Delete it."""

    def deed() -> str:
        with site.readers.snapshot() as queries:
            found = known(queries, sent.name)
        with opened(site, CollectionStore) as store:
            return changing.delete(store, found)

    command = _deleting(sent.name)
    return act(request, site, person, action="delete collection", command=command, deed=deed)


def _deleting(name: str) -> str:
    return f"{command_line('statesys collections delete', None, name)} --yes"
