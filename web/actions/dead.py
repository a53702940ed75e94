"""`/actions/replay` and `/actions/purge`: puts dead letters back, or deletes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import HTTPException
from pydantic import Field

from console.dead.box import Box, Choice
from console.output import counted
from runtime.broker import Administration
from schemas.errors import BrokerUnavailable
from web.access.people import Person
from web.actions.acting import NAME, Action, Deed, Question
from web.fields import Optional, Text
from web.page import command_line
from web.site import Site

#: Dead letters that a form may name; by reason there may be any number.
_NAMED = 100
#: Seconds to wait for others who take dead letters.
_WAIT = 20.0
_NAME = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$")]


class _Chosen(Action):
    """What is done to dead letters: to those named, those of a reason, or all."""

    id: Annotated[list[_NAME], Field(max_length=_NAMED, default_factory=list)]
    reason: Optional[Text] = None

    @property
    def choice(self) -> Choice:
        """The letters."""
        return Choice(names=frozenset(self.id), reason=self.reason)

    @property
    def fields(self) -> list[tuple[str, object]]:
        """What a form sends on."""
        reason: list[tuple[str, object]] = [] if self.reason is None else [("reason", self.reason)]
        return [*(("id", name) for name in self.id), *reason]

    @property
    def command(self) -> str:
        """The command that does the same."""
        reason = {"reason": self.reason} if self.reason else None
        return command_line(f"statesys dead {self.audited}", reason, *self.id)


class Replay(_Chosen):
    """Puts dead letters back into their queues."""

    audited = "replay"
    title = "Replay dead letters"
    button = "Put them back"

    @property
    def command(self) -> str:
        """The command that does the same."""
        return super().command if self.fields else f"{super().command} --all"

    def ask(self, site: Site) -> Question:
        """How many letters would be put back."""
        with _box(site) as box:
            seen = box.chosen(self.choice)
        stuck = sum(not letter.replayable for letter in seen)
        facts: list[tuple[str, object]] = [("Chosen", counted(len(seen), "dead letter"))]
        if stuck:
            facts.append(("Stay", f"{counted(stuck, 'letter')}, whose queue is not known"))
        words = "Put these dead letters back into the queues they came from?"
        return Question(words, facts, self.fields, possible=bool(seen))

    def deed(self, site: Site, _person: Person) -> Deed:
        """Put them back."""

        def replay() -> str:
            with _box(site) as box:
                moved = box.replay(self.choice)
            moved.check_replayed(self.choice)
            return moved.words("replayed")

        return replay


class Purge(_Chosen):
    """Deletes dead letters; `question` is of the page that showed them, and sent by its form."""

    audited = "purge"
    title = "Delete dead letters"
    button = "Delete them for good"

    question: Annotated[str, Field(max_length=100)] = ""

    def ask(self, site: Site) -> Question:
        """How many letters would be deleted."""
        with _box(site) as box:
            names = frozenset(letter.name for letter in box.chosen(self.choice))
        return Question(
            "Delete these dead letters for good? "
            "Deleted messages stay missing until their client answers a resync.",
            [("Chosen", counted(len(names), "dead letter"))],
            [*self.fields, ("question", site.questions.remember(names))],
            possible=bool(names),
        )

    def deed(self, site: Site, _person: Person) -> Deed:
        """Delete those that the page showed; letters that arrived since then stay."""
        names = site.questions.recall(self.question)
        if names is None:
            raise HTTPException(409, "The question is too old, or was answered already: ask again.")

        def purge() -> str:
            with _box(site) as box:
                return box.purge_seen(self.choice, names).words("deleted")

        return purge


@contextmanager
def _box(site: Site) -> Iterator[Box]:
    if not site.letters.acquire(timeout=_WAIT):
        raise BrokerUnavailable("somebody else looks at the dead letters or moves them; try again")
    try:
        with Administration(site.settings.required_amqp_url(), name=NAME) as admin:
            yield Box(admin)
    finally:
        site.letters.release()
