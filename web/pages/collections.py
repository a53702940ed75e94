"""`/collections` and `/collections/{name}`: rules, and the clients that they pick out."""

from datetime import datetime
from operator import attrgetter
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field

from console.collections.gather import UnreadableRule, conditions_now, known, members
from console.collections.view import MEMBER_COLUMNS, evaluated_words, member_cells, problem_of
from console.completeness import sentence
from console.places import page_of
from console.queries.clients import Completeness
from console.queries.collections import CollectionRow, MemberRow
from runtime.collection_rules import RuleRefused
from schemas.errors import UnknownCollection
from web.csv_stream import PAGE, csv_of_whole, csv_stream
from web.fields import Age, Filter, Limit, Optional
from web.page import Page, command_line, render
from web.readers import SiteQueries
from web.site import TheSite

router = APIRouter()

_COLUMNS = ("name", "members", "evaluated_at", "rule", "problem", "created_at", "created_by")


class Members(Filter):
    """Which members of a collection are listed."""

    joined_since: Annotated[
        Age, Field(description="Only who became a member within this time.")
    ] = None
    after: Annotated[
        Optional[UUID], Field(description="Goes on behind this client: `next` of the last page.")
    ] = None
    limit: Limit = 50


@router.get("/collections")
def collections(request: Request, site: TheSite) -> HTMLResponse:
    """All collections, with the members that the last evaluation found."""
    with site.readers.snapshot() as queries:
        now, found = queries.now(), queries.collections()
        completeness = queries.completeness()
    page = Page(
        title="Collections",
        command="statesys collections list",
        as_of=now,
        completeness=sentence(completeness, now),
        csv="/collections.csv",
    )
    return render(
        request,
        "collections.html",
        page,
        collections=found,
        now=now,
        evaluated_words=evaluated_words,
        problem_of=problem_of,
    )


@router.get("/collections.csv")
def collections_csv(site: TheSite) -> StreamingResponse:
    """The same as CSV."""

    def cells(row: CollectionRow) -> tuple[object, ...]:
        own = {**row._asdict(), "members": row.members, "problem": problem_of(row)}
        return tuple(own[name] for name in _COLUMNS)

    return csv_of_whole(site.readers, "collections.csv", _COLUMNS, SiteQueries.collections, cells)


@router.get("/collections/{name}")
def collection(
    request: Request, site: TheSite, name: str, asked: Annotated[Members, Query()]
) -> HTMLResponse:
    """One collection and a page of its members."""
    with site.readers.snapshot() as queries:
        now, found = queries.now(), _known(queries, name)
        counted = _counted(queries, found, now)
        # One member more than is shown tells whether there are more.
        rows = _members(queries, found, asked, after=asked.after, limit=asked.limit + 1)
    shown, last = page_of(rows, asked.limit)
    options = asked.with_values(after=None)
    page = Page(
        title=found.name,
        command=command_line("statesys collections members", options, found.name),
        as_of=now if counted is None else counted.as_of,
        completeness=None if counted is None else sentence(counted, now),
        csv=asked.whole(f"/collections/{found.name}/members.csv"),
    )
    return render(
        request,
        "collection.html",
        page,
        asked=asked,
        collection=found,
        count=None if counted is None else counted.total,
        problem=problem_of(found),
        evaluated=evaluated_words(found, now),
        members=shown,
        following=asked.following(last and last.client_id),
    )


@router.get("/collections/{name}/members.csv")
def members_csv(site: TheSite, name: str, asked: Annotated[Members, Query()]) -> StreamingResponse:
    """All members as CSV."""

    def find(queries: SiteQueries, after: UUID | None) -> list[MemberRow]:
        return _members(queries, _known(queries, name), asked, after=after, limit=PAGE)

    columns, key = MEMBER_COLUMNS, attrgetter("client_id")
    return csv_stream(site.readers, "members.csv", columns, find, key=key, cells=member_cells)


def _known(queries: SiteQueries, name: str) -> CollectionRow:
    try:
        return known(queries, name)
    except (UnknownCollection, RuleRefused) as error:
        raise HTTPException(404, str(error)) from None


def _counted(queries: SiteQueries, found: CollectionRow, now: datetime) -> Completeness | None:
    """Counted now on a small site; on a large one, what the last evaluation found, if any."""
    counted = conditions_now(queries, found) if queries.countable() else None
    if counted is not None:
        return Completeness(now, counted)
    if found.conditions is None or found.evaluated_at is None:
        return None
    return Completeness(found.evaluated_at, found.conditions)


def _members(
    queries: SiteQueries, found: CollectionRow, asked: Members, *, after: UUID | None, limit: int
) -> list[MemberRow]:
    """The members, as the command lists them; those of the last evaluation if it lists none."""
    since = asked.joined_since
    try:
        return members(queries, found, limit=limit, after=after, joined_since=since).rows
    except UnreadableRule:
        begin = None if since is None else queries.now() - since
        return queries.evaluated_members(found, limit=limit, after=after, joined_since=begin)
