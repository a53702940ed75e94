"""`/actions/replay` and `/actions/purge`: puts dead letters back, or deletes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import Field

from console.dead.box import Box, Choice
from console.dead.moving import check_replayed, chosen_of, moved_words, purge_seen
from console.output import counted
from runtime.broker import Administration
from schemas.errors import BrokerUnavailable
from web.access.forms import guarded_router
from web.access.people import ThePerson
from web.actions.acting import NAME, Sent, act, ask
from web.command import command_line
from web.fields import Filter, Optional, Text
from web.site import Site, TheSite

router = guarded_router()

#: Dead letters that a form may name; by reason there may be any number.
_NAMED = 100
#: Seconds to wait for others who take dead letters.
_WAIT = 20.0
_NAME = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$")]


class Chosen(Filter):
    """Which letters: those named, those of a reason, or all."""

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

    def command(self, name: str) -> str:
        """The command that does the same; `name` is `replay` or `purge`."""
        words = command_line(
            f"statesys dead {name}", {"reason": self.reason} if self.reason else None, *self.id
        )
        everything = name == "replay" and not self.fields
        return f"{words} --all" if everything else words


class _Replay(Chosen, Sent):
    pass


class _Purge(Chosen, Sent):
    question: Annotated[str, Field(max_length=100)] = ""


@router.get("/replay")
def ask_replay(
    request: Request, site: TheSite, person: ThePerson, asked: Annotated[Chosen, Query()]
) -> HTMLResponse:
    """How many letters would be put back."""
    with _box(site) as box:
        seen = chosen_of(box, asked.choice)
    stuck = sum(not letter.replayable for letter in seen)
    facts: list[tuple[str, object]] = [("Chosen", counted(len(seen), "dead letter"))]
    if stuck:
        facts.append(("Stay", f"{counted(stuck, 'letter')}, whose queue is not known"))
    return ask(
        request,
        person,
        title="Replay dead letters",
        question="Put these dead letters back into the queues they came from?",
        facts=facts,
        button="Put them back",
        command=asked.command("replay"),
        fields=asked.fields,
        possible=bool(seen),
    )


@router.post("/replay")
def replay(
    request: Request, site: TheSite, person: ThePerson, sent: Annotated[_Replay, Form()]
) -> RedirectResponse:
    """Put them back."""

    def deed() -> str:
        with _box(site) as box:
            moved = box.replay(sent.choice)
        check_replayed(sent.choice, moved)
        return moved_words(moved, "replayed")

    command = sent.command("replay")
    return act(request, site, person, action="replay", command=command, deed=deed)


@router.get("/purge")
def ask_purge(
    request: Request, site: TheSite, person: ThePerson, asked: Annotated[Chosen, Query()]
) -> HTMLResponse:
    """How many letters would be deleted."""
    with _box(site) as box:
        names = frozenset(letter.name for letter in chosen_of(box, asked.choice))
    return ask(
        request,
        person,
        title="Delete dead letters",
        question="Delete these dead letters for good? "
        "Deleted messages stay missing until their client answers a resync.",
        facts=[("Chosen", counted(len(names), "dead letter"))],
        button="Delete them for good",
        command=asked.command("purge"),
        fields=[*asked.fields, ("question", site.questions.remember(names))],
        possible=bool(names),
    )


@router.post("/purge")
def purge(
    request: Request, site: TheSite, person: ThePerson, sent: Annotated[_Purge, Form()]
) -> RedirectResponse:
    """Delete those that the page showed; letters that arrived since then stay."""
    names = site.questions.recall(sent.question)
    if names is None:
        raise HTTPException(409, "The question is too old, or was answered already: ask again.")

    def deed() -> str:
        with _box(site) as box:
            return moved_words(purge_seen(box, sent.choice, names), "deleted")

    command = sent.command("purge")
    return act(request, site, person, action="purge", command=command, deed=deed)


@contextmanager
def _box(site: Site) -> Iterator[Box]:
    if not site.letters.acquire(timeout=_WAIT):
        raise BrokerUnavailable("somebody else looks at the dead letters or moves them; try again")
    try:
        with Administration(site.settings.required_amqp_url(), name=NAME) as admin:
            yield Box(admin)
    finally:
        site.letters.release()
