"""`/audit`: who changed something through the viewer, and when."""

from operator import attrgetter
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field

from console.places import page_of
from console.queries.audit import AuditRow
from web.csv_stream import PAGE, csv_stream
from web.fields import Filter, Optional
from web.page import Page, render
from web.site import TheSite

router = APIRouter()

#: What a column of PostgreSQL's bigint holds.
_LARGEST = 2**63 - 1
_Id = Annotated[int, Field(ge=1, le=_LARGEST)]


class AuditList(Filter):
    """The values of the list's URL."""

    after: Optional[_Id] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50


@router.get("/audit")
def audit(request: Request, site: TheSite, asked: Annotated[AuditList, Query()]) -> HTMLResponse:
    """A page of the list, newest first."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        found = queries.audit(limit=asked.limit + 1, after=asked.after)
    shown, last = page_of(found, asked.limit)
    following = None if last is None else f"limit={asked.limit}&after={last.id}"
    page = Page(title="Audit", command="statesys audit", as_of=now, csv="/audit.csv")
    return render(request, "audit.html", page, entries=shown, following=following)


@router.get("/audit.csv")
def audit_csv(site: TheSite) -> StreamingResponse:
    """The whole list as CSV."""
    return csv_stream(
        *(site.readers, "audit.csv", AuditRow._fields),
        lambda queries, after: queries.audit(limit=PAGE, after=after),
        key=attrgetter("id"),
    )


@router.get("/audit/{entry}")
def audit_entry(
    request: Request, site: TheSite, entry: Annotated[int, InPath(ge=1, le=_LARGEST)]
) -> HTMLResponse:
    """One entry, which also tells who acted what was done."""
    with site.readers.snapshot() as queries:
        now, found = queries.now(), queries.audit_entry(entry)
    if found is None:
        raise HTTPException(404, f"The audit has no entry {entry}.")
    page = Page(title=f"Audit: entry {entry}", command=found.command, as_of=now)
    return render(request, "audit_entry.html", page, entry=found)
