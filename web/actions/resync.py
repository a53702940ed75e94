"""`/actions/resync`: asks a client, or the members of a collection, for their whole state."""

from collections.abc import Sequence

from fastapi import HTTPException

from loader.asking import Asked, summary
from loader.asking import ask as ask_clients
from loader.store.resyncs import ResyncStore
from runtime.options import GivenClient
from web.access.people import Person
from web.actions.acting import Action, Deed, Question, change_of, opened
from web.fields import Client, Optional, Text
from web.page import command_line
from web.site import Site


class Resync(Action):
    """Asks one client, or the members of a collection."""

    audited = "resync"
    title = "Ask for a resync"
    button = "Ask now"

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

    def ask(self, site: Site) -> Question:
        """How many would be asked over how long."""
        with opened(site, ResyncStore) as store:
            would = ask_clients(store, self.clients, collection=self.collection, dry_run=True)
        fields = [("client", self.client), ("collection", self.collection)]
        return Question(
            "Ask for the whole state? Running loaders send the requests.",
            [("Clients", summary(would, dry_run=True))],
            [(name, value) for name, value in fields if value is not None],
        )

    def deed(self, site: Site, _person: Person) -> Deed:
        """Ask."""
        clients = self.clients
        return change_of(
            site,
            ResyncStore,
            lambda store: _words(ask_clients(store, clients, collection=self.collection)),
        )


def _words(made: Asked) -> str:
    if len(made.requests) == 1:
        ((client, request_id),) = made.requests
        return f"asked client {client}, request {request_id}"
    return summary(made, dry_run=False)
