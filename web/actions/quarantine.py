"""`/actions/quarantine` and `/actions/release`: sets a client's reports aside, or ends that."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import Field

from loader.quarantining import LONGEST_REASON, put_in, take_out
from loader.store.quarantine import QuarantineStore
from web.access.forms import guarded_router
from web.access.people import ThePerson
from web.actions.acting import Client, Sent, act, ask, opened
from web.command import command_line
from web.fields import Filter
from web.site import TheSite

router = guarded_router()


class Released(Filter):
    """Who is released."""

    client: Client

    @property
    def command(self) -> str:
        """The command that does the same."""
        return command_line("statesys client release", None, self.client)


class Quarantined(Filter):
    """The client to quarantine, and the reason."""

    client: Client
    why: Annotated[str, Field(max_length=LONGEST_REASON, pattern=r"^[^\x00]*$")] = ""

    @property
    def command(self) -> str:
        """The command that does the same."""
        options = {"why": self.why} if self.why else None
        return command_line("statesys client quarantine", options, self.client)


class _Release(Released, Sent):
    pass


class _Quarantine(Quarantined, Sent):
    pass


@router.get("/quarantine")
def ask_quarantine(
    request: Request, site: TheSite, person: ThePerson, asked: Annotated[Quarantined, Query()]
) -> HTMLResponse:
    """What a quarantine means for the client."""
    with site.readers.snapshot() as queries:
        client_id = queries.client_id_of(asked.client)
    return ask(
        request,
        person,
        title="Put a client into quarantine",
        question="Set this client's reports aside as dead letters, until it is released?",
        facts=[("Client", asked.client), ("Id", client_id), ("Reason", asked.why or "not given")],
        button="Put it into quarantine",
        command=asked.command,
        # The id: the name may be another client's by then.
        fields=[("client", client_id), ("why", asked.why)],
    )


@router.post("/quarantine")
def quarantine(
    request: Request, site: TheSite, person: ThePerson, sent: Annotated[_Quarantine, Form()]
) -> RedirectResponse:
    """Set the reports aside."""
    deed = _deed(site, lambda s: put_in(s, sent.client, by=person.name, why=sent.why))
    return act(request, site, person, action="quarantine", command=sent.command, deed=deed)


@router.get("/release")
def ask_release(
    request: Request, site: TheSite, person: ThePerson, asked: Annotated[Released, Query()]
) -> HTMLResponse:
    """What a release means."""
    with site.readers.snapshot() as queries:
        client_id = queries.client_id_of(asked.client)
    return ask(
        request,
        person,
        title="Release a client from quarantine",
        question="Take this client out of quarantine? Its dead letters stay until a replay.",
        facts=[("Client", asked.client), ("Id", client_id)],
        button="Release it",
        command=asked.command,
        fields=[("client", client_id)],
    )


@router.post("/release")
def release(
    request: Request, site: TheSite, person: ThePerson, sent: Annotated[_Release, Form()]
) -> RedirectResponse:
    """Take the client out."""
    deed = _deed(site, lambda store: take_out(store, sent.client))
    return act(request, site, person, action="release", command=sent.command, deed=deed)


def _deed(site: TheSite, change: Callable[[QuarantineStore], str]) -> Callable[[], str]:
    def deed() -> str:
        with opened(site, QuarantineStore) as store:
            return change(store)

    return deed
