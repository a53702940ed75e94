"""`/actions/quarantine` and `/actions/release`: sets a client's reports aside, or ends that."""

from typing import Annotated

from pydantic import Field

from loader.quarantining import LONGEST_REASON, put_in, take_out
from loader.store.quarantine import QuarantineStore
from web.access.people import Person
from web.actions.acting import Action, Deed, Question, change_of
from web.fields import Client
from web.page import command_line
from web.site import Site


class Quarantine(Action):
    """Sets the reports of a client aside."""

    audited = "quarantine"
    title = "Put a client into quarantine"
    button = "Put it into quarantine"

    client: Client
    why: Annotated[str, Field(max_length=LONGEST_REASON, pattern=r"^[^\x00]*$")] = ""

    @property
    def command(self) -> str:
        """The command that does the same."""
        options = {"why": self.why} if self.why else None
        return command_line("statesys client quarantine", options, self.client)

    def ask(self, site: Site) -> Question:
        """What a quarantine means for the client."""
        with site.readers.snapshot() as queries:
            client_id = queries.client_id_of(self.client)
        return Question(
            "Set this client's reports aside as dead letters, until it is released?",
            [("Client", self.client), ("Id", client_id), ("Reason", self.why or "not given")],
            # The id: the name may be another client's by then.
            [("client", client_id), ("why", self.why)],
        )

    def deed(self, site: Site, person: Person) -> Deed:
        """Set the reports aside."""
        return change_of(
            site,
            QuarantineStore,
            lambda store: put_in(store, self.client, by=person.name, why=self.why),
        )


class Release(Action):
    """Takes a client out of quarantine."""

    audited = "release"
    title = "Release a client from quarantine"
    button = "Release it"

    client: Client

    @property
    def command(self) -> str:
        """The command that does the same."""
        return command_line("statesys client release", None, self.client)

    def ask(self, site: Site) -> Question:
        """What a release means."""
        with site.readers.snapshot() as queries:
            client_id = queries.client_id_of(self.client)
        return Question(
            "Take this client out of quarantine? Its dead letters stay until a replay.",
            [("Client", self.client), ("Id", client_id)],
            [("client", client_id)],
        )

    def deed(self, site: Site, _person: Person) -> Deed:
        """Take the client out."""
        return change_of(site, QuarantineStore, lambda store: take_out(store, self.client))
