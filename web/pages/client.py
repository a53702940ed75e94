"""`/clients/{client}`: one client, its verdict, states, serials, ranges, requests and letters."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from pydantic import Field

from console.names import state_name, topic_name
from console.places import page_of
from console.queries.one_client import StateKey
from console.queries.rows import ClientRow, StateRow, StoredText
from console.trace.places import places
from console.trace.view import client_facts, closed_words, reason_words
from console.why.facts import Facts, facts_of_database
from console.why.verdict import answer
from runtime.options import ClientType
from web.broker import broker_facts
from web.csv_stream import PAGE, csv_stream
from web.fields import Filter, Optional, TopicType
from web.page import Page, command_line, render
from web.site import TheSite
from web.strip import strip

router = APIRouter()

#: Machines of one name, and missing ranges, that a page shows.
_NAMED, _RANGES = 100, 100
_STATE_COLUMNS = (
    *("topic_type", "topic", "topic_id", "user_sid", "state_id", "state", "criticality", "serial"),
    *("since", "params", "details"),
)


class StatePage(Filter):
    """Where a page of states begins: behind the state of a topic and user."""

    after_type: Optional[TopicType] = None
    after_topic: StoredText = ""
    after_user: StoredText = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100

    @property
    def key(self) -> StateKey | None:
        """The state; None for the first page."""
        if self.after_type is None:
            return None
        return StateKey(self.after_type, self.after_topic, self.after_user)

    def behind(self, last: StateRow) -> dict[str, str]:
        """The values of the next page."""
        topic_type, topic_id, user = StateKey.of(last)
        return self.with_values(after_type=topic_type, after_topic=topic_id, after_user=user)


@router.get("/clients/{given}")
def client(
    request: Request, site: TheSite, given: str, asked: Annotated[StatePage, Query()]
) -> Response:
    """One client; a name, or another way to write the id, leads to the page of the id."""
    who = ClientType().convert(given, None, None)
    if isinstance(who, str):
        return _named(request, site, who)
    if str(who) != given:
        return RedirectResponse(f"/clients/{who}")
    with site.readers.snapshot() as queries:
        facts = facts_of_database(queries, who, None)
        states: list[StateRow] = []
        drawn = None
        if (known := facts.client) is not None:
            states = queries.state_page(who, after=asked.key, limit=asked.limit + 1)
            reused = queries.reused_serials(who) if known.reused else []
            drawn = strip(places(known, facts.ranges, reused), known.highest_serial)
    facts = replace(facts, broker=broker_facts(site, who))
    shown, last = page_of(states, asked.limit)
    page = Page(
        title=(known.name if known is not None else "") or str(who),
        command=command_line("statesys why", None, who),
        as_of=facts.at,
    )
    return render(
        request,
        "client.html",
        page,
        status=200 if known is not None else 404,
        facts=facts,
        answer=answer(facts),
        rows=[] if known is None else _facts(facts, known),
        states=shown,
        begun=asked.key is not None,
        following=None if last is None else urlencode(asked.behind(last)),
        strip=drawn,
        ranges=facts.ranges[:_RANGES],
        reason_words=reason_words,
        closed_words=closed_words,
    )


@router.get("/clients/{client_id}/states.csv")
def states_csv(site: TheSite, client_id: UUID) -> StreamingResponse:
    """All current states of a client as CSV."""
    return csv_stream(
        *(site.readers, f"states-{client_id}.csv", _STATE_COLUMNS),
        lambda queries, after: queries.state_page(client_id, after=after, limit=PAGE),
        key=StateKey.of,
        cells=_cells,
    )


def _named(request: Request, site: TheSite, name: str) -> Response:
    with site.readers.snapshot() as queries:
        now, found = queries.now(), queries.clients_named(name, limit=_NAMED + 1)
    if not found:
        raise HTTPException(404, f"No client is named {name!r}; the list of clients has a filter.")
    if len(found) == 1:
        return RedirectResponse(f"/clients/{found[0].client_id}")
    page = Page(
        title=f"Machines named {name}",
        command=command_line("statesys clients", {"name": name}),
        as_of=now,
    )
    cut = len(found) > _NAMED
    return render(
        request, "client_choice.html", page, status=300, clients=found[:_NAMED], cut=cut, name=name
    )


def _facts(facts: Facts, known: ClientRow) -> list[tuple[str, object]]:
    states = facts.changes.states
    return client_facts(known, at=facts.at, condition=facts.condition, due=facts.due, states=states)


def _cells(row: StateRow) -> Sequence[object]:
    return (
        *(row.topic_type, topic_name(row.topic_type), row.topic_id, row.user_sid, row.state_id),
        *(state_name(row.topic_type, row.state_id), row.criticality, row.serial),
        *(row.message_time, json.dumps(row.params, ensure_ascii=False), row.details),
    )
