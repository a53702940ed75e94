"""The resync requests of the site, page by page."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from pydantic import AwareDatetime

from console.queries.query_session import QuerySession, all_of, named_text
from runtime.database import sql


class RequestState(StrEnum):
    """What became of a request; the first three are open ones."""

    PENDING = "pending"
    UNSENT = "unsent"
    SENT = "sent"
    ANSWERED = "answered"
    OVERTAKEN = "overtaken"
    ARRIVED = "arrived"
    UNANSWERED = "unanswered"
    UNROUTABLE = "unroutable"

    @property
    def is_open(self) -> bool:
        """Whether such a request waits for something; `pending` is both of the others."""
        return self in {RequestState.PENDING, RequestState.UNSENT, RequestState.SENT}


class SiteRequest(NamedTuple):
    """A resync request with its client; `client_name` None when the server does not know it."""

    client_id: UUID
    client_name: str | None
    request_id: UUID
    reason: str
    requested_at: datetime
    sent_at: datetime | None
    closed_at: datetime | None
    closed_how: str | None
    attempts: int


class RequestKey(NamedTuple):
    """The place of a request in a list."""

    requested_at: AwareDatetime
    client_id: UUID
    request_id: UUID

    @classmethod
    def of(cls, row: SiteRequest) -> "RequestKey":
        """The place of a row."""
        return cls(row.requested_at, row.client_id, row.request_id)


class ResyncQueries(QuerySession):
    """The queries of `resyncs.sql`."""

    def site_requests(
        self, state: RequestState, *, after: RequestKey | None = None, limit: int | None = None
    ) -> list[SiteRequest]:
        """A page of the requests of one state: open ones oldest first, closed ones by client.

        Args:
            after: of the last request of the page before; None for the first page.
            limit: rows at most; None means all.
        """
        kind = "open" if state.is_open else "closed"
        parts = [f"where_{state}_requests" if state.is_open else "where_closed_requests"]
        if after is not None:
            parts.append(f"after_{kind}_requests")
        query = sql.SQL(named_text("site_requests")).format(
            where=all_of(parts),
            order=sql.SQL(named_text(f"order_{kind}_requests")),
        )
        values = {**(after._asdict() if after else {}), "how": state.value, "limit": limit}
        return self._rows_of(query, SiteRequest, values)
