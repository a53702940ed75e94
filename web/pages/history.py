"""`/clients/{client}/history`: the messages of a client, newest first."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import AwareDatetime, Field

from console.names import state_name, topic_name
from console.queries.one_client import ClientMessage, HistoryKey
from web.csv_stream import PAGE, Part, csv_of_search
from web.fields import Filter, Optional, Serial
from web.page import Page, command_line, render
from web.readers import SiteQueries
from web.site import TheSite

router = APIRouter()

_COLUMNS = (
    *("serial", "topic_type", "topic", "topic_id", "user_sid", "state_id", "state"),
    *("message_time", "loaded_at", "reused", "resync_request_id", "params", "details"),
)


class History(Filter):
    """Which messages, and behind which one the page begins."""

    changes: bool = False
    after_digest: Annotated[str, Field(pattern="^([0-9a-f]{32})?$")] = ""
    after_serial: Optional[Serial] = None
    after_loaded: Optional[AwareDatetime] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50

    @property
    def key(self) -> HistoryKey | None:
        """The message; None for the first page."""
        if self.after_serial is None and self.after_loaded is None:
            return None
        digest = bytes.fromhex(self.after_digest)
        return HistoryKey(digest, self.after_serial, self.after_loaded)

    def behind(self, key: HistoryKey) -> dict[str, str]:
        """The values of the next page."""
        loaded: datetime | None = key.loaded_at
        return self.with_values(
            after_digest=key.digest.hex() or None,
            after_serial=key.serial,
            after_loaded=None if loaded is None else loaded.isoformat(),
        )


@router.get("/clients/{client_id}/history")
def history(
    request: Request, site: TheSite, client_id: UUID, asked: Annotated[History, Query()]
) -> HTMLResponse:
    """A page of a client's messages."""
    with site.readers.snapshot() as queries:
        now, client = queries.now(), queries.known(client_id)
        found = queries.client_history(
            client_id, changes=asked.changes, after=asked.key, limit=asked.limit
        )
    given = {"changes": "true"} if asked.changes else {}
    page = Page(
        title=f"Messages of {client.name or client_id}",
        command=command_line("statesys trace", None, client_id),
        as_of=now,
        csv=f"/clients/{client_id}/history.csv?{urlencode(given)}".rstrip("?"),
    )
    return render(
        request,
        "history.html",
        page,
        asked=asked,
        client=client,
        messages=found.messages,
        following=None if found.following is None else urlencode(asked.behind(found.following)),
    )


@router.get("/clients/{client_id}/history.csv")
def history_csv(
    site: TheSite, client_id: UUID, asked: Annotated[History, Query()]
) -> StreamingResponse:
    """All messages of a client, or all changes, as CSV."""

    def following(
        queries: SiteQueries, after: HistoryKey | None
    ) -> Part[ClientMessage, HistoryKey]:
        queries.known(client_id)
        page = queries.client_history(client_id, changes=asked.changes, after=after, limit=PAGE)
        return Part(page.messages, page.following)

    name = f"history-{client_id}.csv"
    return csv_of_search(site.readers, name, _COLUMNS, following, _cells)


def _cells(row: ClientMessage) -> Sequence[object]:
    return (
        *(row.serial, row.topic_type, topic_name(row.topic_type), row.topic_id, row.user_sid),
        *(row.state_id, state_name(row.topic_type, row.state_id), row.message_time, row.loaded_at),
        *(row.reused, row.resync_request_id),
        *(json.dumps(row.params, ensure_ascii=False), row.details),
    )
