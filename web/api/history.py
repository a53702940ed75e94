"""`/api/v1/messages`: the history, newest first, and everything that is kept of one message."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse

from console.messages.search import search
from console.messages.view import as_data
from console.names import state_name, topic_name
from console.queries.messages import FoundMessage, StoredMessage
from web.api.answers import PROBLEMS, answer
from web.api.clients import Asked as AskedClient
from web.api.shapes import page, row, shape
from web.message_search import MessageSearch, OfOneClient
from web.site import Site, TheSite
from web.stored_message import KEY, find_message, rendered

router = APIRouter(prefix="/api/v1", tags=["messages"], responses=PROBLEMS)

_Message = row(FoundMessage, key=str, topic_name=str, state_name=str)
_Page = page(
    "Messages",
    "A page of messages. `searched_to`: the search stopped there although the page is not full, so "
    "that the answer comes quickly; it goes on with `next`.",
    messages=list[_Message],  # type: ignore[valid-type]
    searched_to=datetime | int | None,
)


@router.get("/messages", response_model=_Page)
def messages(site: TheSite, asked: Annotated[MessageSearch, Query()]) -> JSONResponse:
    """Messages by client, or by topic and state within a time; those loaded last come first."""
    return _found(site, asked)


@router.get("/clients/{client}/messages", response_model=_Page)
def messages_of_client(
    site: TheSite, client: AskedClient, asked: Annotated[OfOneClient, Query()]
) -> JSONResponse:
    """The messages of a client: numbered ones, the highest serials first, then the others."""
    given = {name: getattr(asked, name) for name in asked.model_fields_set}
    return _found(site, MessageSearch.model_construct(client=client, **given))


@router.get(
    "/messages/{client_id}/{key}",
    response_model=shape(
        "OneMessage",
        "Everything that is kept of a message, and its XML, rendered again from that.",
        as_of=datetime,
        message=row(StoredMessage, topic_name=str, state_name=str),
        xml=str,
    ),
)
def message(
    site: TheSite,
    client_id: UUID,
    key: Annotated[
        str,
        Path(
            pattern=KEY,
            description="Its serial, if it has one, a dash, and its digest: `key` of a list.",
        ),
    ],
) -> JSONResponse:
    """One message. The original bytes are kept for dead letters only."""
    found = find_message(site, client_id, key)
    named = {
        "topic_name": topic_name(found.message.topic_type),
        "state_name": state_name(found.message.topic_type, found.message.state_id),
    }
    return answer(
        as_of=found.now,
        message={**found.message._asdict(), **named},
        xml=rendered(found.message),
    )


def _found(site: Site, asked: MessageSearch) -> JSONResponse:
    with site.readers.snapshot() as queries:
        now = queries.now()
        found = search(queries, asked.search, now=now)
    listed = list(map(as_data, found.messages))
    return answer(as_of=now, messages=listed, searched_to=found.searched_to, next=found.following)
