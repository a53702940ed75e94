"""A search in the history, as command, page and API ask it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple
from uuid import UUID

from pydantic import AwareDatetime, Field, TypeAdapter

from console.compliance.state import read_state
from console.places import place, token
from console.queries import Queries
from console.queries.messages import FoundMessage, InClient, InTime, MessageFilter
from runtime.options import GivenClient
from schemas.digest import DIGEST_BYTES
from schemas.errors import Unusable
from schemas.serials import FIRST_SERIAL, LAST_SERIAL

#: How far back is searched, unless a client or a time is given.
WITHIN = timedelta(hours=1)
_Serial = Annotated[int, Field(ge=FIRST_SERIAL, le=LAST_SERIAL)]
_Hex = Annotated[str, Field(pattern=f"^([0-9a-f]{{2}}){{0,{DIGEST_BYTES + 1}}}$")]
_IN_TIME = TypeAdapter(tuple[AwareDatetime, AwareDatetime, UUID, _Hex])
_IN_CLIENT = TypeAdapter(tuple[_Serial | None, _Hex])


class Search(NamedTuple):
    """Which messages are searched; all restrictions hold together, and None does not restrict.

    Attributes:
        chosen: the topic and its states.
        within: loaded within this time before `until`; by default `WITHIN`, and any time for the
            messages of a client.
        until: loaded before this moment; None means now.
        after: where the search goes on, as its last page said.
        limit: messages of a page at most.
    """

    client: GivenClient | None = None
    chosen: MessageFilter = MessageFilter()
    within: timedelta | None = None
    until: datetime | None = None
    after: str | None = None
    limit: int = 50

    @property
    def length(self) -> timedelta | None:
        """The time that is searched; None: all of it."""
        return self.within or (WITHIN if self.client is None else None)


class MessagePage(NamedTuple):
    """A page of messages.

    Attributes:
        following: the token of the next page; None: there is none.
        searched_to: where the search stopped although the page is not full, to keep the answer
            quick: a moment of loading, or a serial of the client.
    """

    messages: list[FoundMessage]
    following: str | None = None
    searched_to: datetime | int | None = None


def filter_of(
    topic_type: int | None, topic_id: str | None, state: str | None, *, option: str
) -> MessageFilter:
    """The restrictions to a topic and a state.

    Args:
        state: an id, or a name of the catalogue.
        option: what gives the state, for errors.

    Raises:
        click.BadParameter: no state of the topic type has that name.
        Unusable: there is a state without a topic type.
    """
    states = None
    if state is not None:
        if topic_type is None:
            raise Unusable("a state is one of a topic type: give the topic type too")
        states = read_state(topic_type, state, option=option)
        if states is None:
            raise Unusable("no message says that a client never told: see `statesys compliance`")
    return MessageFilter(topic_type=topic_type, topic_id=topic_id, state_ids=states)


def search(queries: Queries, asked: Search, *, now: datetime) -> MessagePage:
    """Find a page of messages.

    Raises:
        Unusable: `after` is no place in this list.
        StatesysError: no client has the name, or several have.
    """
    if asked.client is not None:
        return _of_client(queries, asked.client, asked, now)
    end = asked.until or now
    begin = end - (asked.length or WITHIN)
    behind = InTime(end)
    if asked.after is not None:
        begin, at, client_id, digest = place(asked.after, _IN_TIME)
        behind = InTime(at, client_id, bytes.fromhex(digest))
    found = queries.messages_in_time(asked.chosen, since=begin, behind=behind, limit=asked.limit)
    if found.behind is None:
        return MessagePage(found.messages)
    following = token((begin, *found.behind))
    return MessagePage(found.messages, following, None if found.full else found.behind.loaded_at)


def _of_client(queries: Queries, client: GivenClient, asked: Search, now: datetime) -> MessagePage:
    client_id = queries.client_id_of(client)
    behind = None
    if asked.after is not None:
        serial, digest = place(asked.after, _IN_CLIENT)
        behind = InClient(serial, bytes.fromhex(digest))
    since = None if asked.length is None else (asked.until or now) - asked.length
    chosen = replace(asked.chosen, since=since, until=asked.until)
    found = queries.messages_of_client(client_id, chosen, behind=behind, limit=asked.limit)
    if found.behind is None:
        return MessagePage(found.messages)
    return MessagePage(
        found.messages, token(found.behind), None if found.full else found.behind[0] or 0
    )
