"""`/actions/resync`: asks a client, or the members of a collection, for their whole state."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from loader.asking import Asked, summary
from loader.asking import ask as ask_clients
from loader.store.resyncs import ResyncStore
from runtime.options import GivenClient
from web.access.forms import guarded_router
from web.access.people import ThePerson
from web.actions.acting import Client, Sent, act, ask, opened
from web.command import command_line
from web.fields import Filter, Optional, Text
from web.page import Page, render
from web.site import TheSite

router = guarded_router()


class Whom(Filter):
    """Whom to ask: one client, or the members of a collection."""

    client: Optional[Client] = None
    collection: Optional[Text] = None

    @property
    def clients(self) -> Sequence[GivenClient]:
        """The clients that are named.

        Raises:
            HTTPException: neither or both are given.
        """
        if (self.client is None) == (self.collection is None):
            raise HTTPException(400, "Say whom to ask: a client, or a collection.")
        return [] if self.client is None else [self.client]

    @property
    def command(self) -> str:
        """The command that does the same."""
        if self.client is not None:
            return command_line("statesys resync request", None, self.client)
        return command_line("statesys resync request", {"collection": self.collection or ""})


class _Send(Whom, Sent):
    pass


@router.get("")
def actions(request: Request) -> HTMLResponse:
    """What an operator can do; each leads to a page that asks first."""
    return render(request, "actions.html", Page(title="Actions"))


@router.get("/resync")
def ask_first(
    request: Request, site: TheSite, person: ThePerson, asked: Annotated[Whom, Query()]
) -> HTMLResponse:
    """How many would be asked over how long."""
    with opened(site, ResyncStore) as store:
        would = ask_clients(store, asked.clients, collection=asked.collection, dry_run=True)
    fields = [("client", asked.client), ("collection", asked.collection)]
    return ask(
        request,
        person,
        title="Ask for a resync",
        question="Ask for the whole state? Running loaders send the requests.",
        facts=[("Clients", summary(would, dry_run=True))],
        button="Ask now",
        command=asked.command,
        fields=[(name, value) for name, value in fields if value is not None],
    )


@router.post("/resync")
def send(
    request: Request, site: TheSite, person: ThePerson, sent: Annotated[_Send, Form()]
) -> RedirectResponse:
    """Ask."""
    clients = sent.clients

    def deed() -> str:
        with opened(site, ResyncStore) as store:
            return _words(ask_clients(store, clients, collection=sent.collection))

    return act(request, site, person, action="resync", command=sent.command, deed=deed)


def _words(made: Asked) -> str:
    if len(made.requests) == 1:
        ((client, request_id),) = made.requests
        return f"asked client {client}, request {request_id}"
    return summary(made, dry_run=False)
