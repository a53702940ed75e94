"""A search in the history, as pages and API take it from a URL."""

from typing import Annotated

from pydantic import Field

from console.messages.search import Search, filter_of
from console.places import Token
from web.fields import Age, Client, Filter, Moment, Optional, Text, Topic, TopicId


class OfOneClient(Filter):
    """Which messages of a client are searched; all restrictions hold together."""

    topic_type: Annotated[Optional[Topic], Field(description="Of this topic type.")] = None
    topic_id: Annotated[Optional[TopicId], Field(description="Of this topic.")] = None
    state: Annotated[
        Optional[Text],
        Field(description="In this state of the topic type: its id, or its name in the catalogue."),
    ] = None
    within: Annotated[
        Age,
        Field(
            description="Loaded within this time before `until`; 1h by default, and any time for "
            "the messages of a client."
        ),
    ] = None
    until: Annotated[
        Optional[Moment], Field(description="Loaded before this moment; now by default.")
    ] = None
    after: Annotated[
        Optional[Token], Field(description="Goes on where the last page said: its `next`.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="Messages at most.")] = 50


class MessageSearch(OfOneClient):
    """Which messages are searched, of any client."""

    client: Annotated[Optional[Client], Field(description="Messages of this client.")] = None

    @property
    def search(self) -> Search:
        """The same without the URL.

        Raises:
            click.BadParameter, Unusable: as `filter_of`.
        """
        chosen = filter_of(self.topic_type, self.topic_id, self.state, option="state")
        return Search(self.client, chosen, self.within, self.until, self.after, self.limit)
