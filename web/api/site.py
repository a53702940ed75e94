"""`/api/v1/status` and the lists of the whole site: gaps, resyncs, collections, settings."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, TypeAdapter

from console.collections import gather
from console.collections.gather import known
from console.collections.view import collection_as_data
from console.findings import Finding
from console.places import page_of, paged, place
from console.queries.collections import CollectionRow, MemberRow
from console.queries.resyncs import SiteRequest
from console.queries.rows import MissingRow
from console.settings import Used, used
from console.status.gather import Status
from schemas.errors import BrokerUnavailable
from web.api.answers import PROBLEMS, answer
from web.api.shapes import page, row, shape
from web.fields import Listed, Optional, Text
from web.pages.collections import Members
from web.pages.gaps import GapList
from web.pages.resyncs import RequestList
from web.site import TheSite

router = APIRouter(prefix="/api/v1", tags=["site"], responses=PROBLEMS)

_Collection = row(CollectionRow, without=("id",), members=int | None)
_NAME = TypeAdapter(tuple[str])
_NUMBER = TypeAdapter(tuple[Annotated[int, Field(ge=0, le=2**31)]])


class DeadLetter(BaseModel):
    """A refused report or batch, as `statesys dead list --json` describes it."""

    id: str
    stage: str
    reason: str
    detail: str
    queue: str | None
    client_id: str
    first_serial: int | None
    last_serial: int | None
    first_refused_at: str
    size: int


@router.get("/status", response_model=row(Status, as_of=datetime))
def status(site: TheSite) -> JSONResponse:
    """Queues, workers and totals, as `statesys status --json`; some seconds old.

    A server that is away leaves its half null, and its reason in `troubles`.
    """
    found = site.watching.look().status
    return answer(as_of=found.at, **found._asdict())


@router.get(
    "/gaps",
    response_model=page(
        "Gaps", "A page of the missing ranges of all clients.", gaps=list[MissingRow]
    ),
)
def gaps(site: TheSite, asked: Annotated[GapList, Query()]) -> JSONResponse:
    """The missing ranges: open ones oldest first, closed ones by client."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        shown, following = asked.page(queries)
    return answer(as_of=now, gaps=shown, next=following)


@router.get(
    "/resyncs",
    response_model=page(
        "Resyncs", "A page of the resync requests of all clients.", requests=list[SiteRequest]
    ),
)
def resyncs(site: TheSite, asked: Annotated[RequestList, Query()]) -> JSONResponse:
    """The resync requests of one state: open ones oldest first, closed ones by client."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        shown, following = asked.page(queries)
    return answer(as_of=now, requests=shown, next=following)


@router.get(
    "/collections",
    response_model=page(
        *("Collections", "A page of the collections."),
        collections=list[_Collection],  # type: ignore[valid-type]
    ),
)
def collections(site: TheSite, asked: Annotated[Listed, Query()]) -> JSONResponse:
    """The collections by name, with what their last evaluation found."""
    after = "" if asked.after is None else place(asked.after, _NAME)[0]
    with site.readers.snapshot() as queries:
        now = queries.now()
        found = [one for one in queries.collections() if one.name.lower() > after]
    shown, following = paged(found, asked.limit, lambda one: (one.name.lower(),))
    return answer(as_of=now, collections=list(map(collection_as_data, shown)), next=following)


@router.get(
    "/collections/{name}/members",
    response_model=shape(
        "Members",
        "A page of the members of a collection.",
        collection=str,
        as_of=datetime,
        members=list[MemberRow],
        next=UUID | None,
    ),
)
def members(site: TheSite, name: str, asked: Annotated[Members, Query()]) -> JSONResponse:
    """The members by client id, as `statesys collections members --json`."""
    with site.readers.snapshot() as queries:
        collection = known(queries, name)
        as_of, found = gather.members(
            *(queries, collection),
            limit=asked.limit + 1,
            after=asked.after,
            joined_since=asked.joined_since,
        )
    shown, last = page_of(found, asked.limit)
    return answer(
        collection=collection.name,
        as_of=as_of,
        members=shown,
        next=last and last.client_id,
    )


@router.get(
    "/settings",
    response_model=page(
        *("Settings", "The settings of the workers that run."),
        workers=int,
        settings=list[Used],
        next=None,
    ),
)
def settings(site: TheSite) -> JSONResponse:
    """What the running workers use, as `statesys settings --site --json`."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        workers = [worker for worker in queries.workers() if not worker.late]
    return answer(as_of=now, workers=len(workers), settings=used(workers), next=None)


@router.get(
    "/findings",
    response_model=shape(
        "Findings",
        "What is wrong with the site, in order of harm; empty when nothing is.",
        as_of=datetime,
        findings=list[Finding],
    ),
)
def findings(site: TheSite) -> JSONResponse:
    """What is wrong with the site, as `statesys status --json` says it; some seconds old."""
    look = site.watching.look()
    return answer(as_of=look.status.at, findings=look.findings)


class DeadList(Listed):
    """Which dead letters are listed."""

    reason: Annotated[
        Optional[Text], Field(description="Only those that were refused for this reason.")
    ] = None


@router.get(
    "/dead",
    response_model=page(
        *("DeadLetters", "A page of the dead letters, oldest first."),
        as_of=datetime | None,
        letters=list[DeadLetter],
        cut=bool,
    ),
)
def dead(site: TheSite, asked: Annotated[DeadList, Query()]) -> JSONResponse:
    """The dead letters as the viewer's one look saw them; `cut`: there are more than it reads."""
    look = site.watching.look()
    if look.status.broker is None:
        raise BrokerUnavailable(look.status.troubles[-1])
    after = 0 if asked.after is None else place(asked.after, _NUMBER)[0]
    found = [
        (number, seen.letter)
        for number, seen in enumerate(look.letters.letters, 1)
        if number > after and asked.reason in (None, seen.letter.reason)
    ]
    shown, following = paged(found, asked.limit, lambda one: one[:1])
    return answer(
        as_of=look.letters.as_of,
        letters=[letter.as_data() for _, letter in shown],
        cut=look.letters.cut,
        next=following,
    )
