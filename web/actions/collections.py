"""`/actions/create-collection` and `/actions/delete-collection`."""

from typing import Annotated

from pydantic import Field

from console.collections import changing
from console.collections.gather import known
from loader.store.collections import CollectionStore
from runtime.collection_rules import parse_rule, require_collection_name
from web.access.people import Person
from web.actions.acting import Action, Deed, Question, change_of, opened
from web.fields import Text
from web.page import command_line
from web.site import Site


class CreateCollection(Action):
    """Makes a collection, or gives one another rule."""

    audited = "create collection"
    title = "Make a collection"
    button = "Make it"

    name: Text
    rule: Annotated[str, Field(max_length=16 * 1024, pattern=r"^[^\x00]*$")]
    replace: bool = False

    @property
    def command(self) -> str:
        """The command that does the same."""
        words = command_line("statesys collections create", None, self.name, self.rule)
        return f"{words} --replace" if self.replace else words

    def ask(self, site: Site) -> Question:
        """Whom the rule picks out now."""
        require_collection_name(self.name)
        rule = parse_rule(self.rule)
        facts: list[tuple[str, object]] = [("Name", self.name), ("Rule", self.rule)]
        with site.readers.snapshot() as queries:
            if queries.countable():
                facts.append(("Members now", sum(queries.member_conditions(rule).values())))
            if (found := queries.collection(self.name)) is not None:
                facts.append(("Its rule until now", found.rule))
        return Question(
            "Give the collection this rule?" if self.replace else "Make this collection?",
            facts,
            [("name", self.name), ("rule", self.rule), ("replace", self.replace)],
        )

    def deed(self, site: Site, _person: Person) -> Deed:
        """Make it."""
        return change_of(
            site,
            CollectionStore,
            lambda store: changing.make(store, self.name, self.rule, replace=self.replace),
        )


class DeleteCollection(Action):
    """Deletes a collection."""

    audited = "delete collection"
    title = "Delete a collection"
    button = "Delete it"

    name: Text

    @property
    def command(self) -> str:
        """The command that does the same."""
        return _deleting(self.name)

    def ask(self, site: Site) -> Question:
        """What would be lost."""
        with site.readers.snapshot() as queries:
            found = known(queries, self.name)
        return Question(
            "Delete this collection, and who joined it when? Its clients stay as they are.",
            [("Name", found.name), ("Rule", found.rule), ("Members", found.members)],
            [("name", found.name)],
            command=_deleting(found.name),
        )

    def deed(self, site: Site, _person: Person) -> Deed:
        """Delete it."""

        def delete() -> str:
            with site.readers.snapshot() as queries:
                found = known(queries, self.name)
            with opened(site, CollectionStore) as store:
                return changing.delete(store, found)

        return delete


def _deleting(name: str) -> str:
    return f"{command_line('statesys collections delete', None, name)} --yes"
