"""`/topics`: every topic type, what it is about, and how many clients told of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from console.completeness import sentence
from console.names import topic_name, topic_sentence
from console.queries.compliance import ToldOfType
from schemas.topics import topic_types
from web.csv_stream import csv_of_whole
from web.page import Page, render
from web.site import TheSite

router = APIRouter()


class TypeRow(NamedTuple):
    """A topic type; `clients` is None while nobody has counted."""

    topic_type: int
    name: str
    clients: int | None
    meaning: str


@router.get("/topics")
def topics(request: Request, site: TheSite) -> HTMLResponse:
    """All topic types: those of the catalogue, and others that clients told of."""
    with site.readers.snapshot() as queries:
        now = queries.now()
        told = queries.told_of_types()
        completeness = queries.completeness()
    page = Page(
        title="Topics",
        command="statesys topics",
        as_of=_as_of(told, now),
        completeness=sentence(completeness, now),
        csv="/topics.csv",
    )
    return render(request, "topics.html", page, types=_rows(told), counted=told is not None)


@router.get("/topics.csv")
def topics_csv(site: TheSite) -> StreamingResponse:
    """The same as CSV."""
    columns = TypeRow._fields
    return csv_of_whole(site.readers, "topics.csv", columns, lambda q: _rows(q.told_of_types()))


def _rows(told: Sequence[ToldOfType] | None) -> list[TypeRow]:
    clients = {row.topic_type: row.clients for row in told or ()}
    none = None if told is None else 0
    return [
        TypeRow(kind, topic_name(kind), clients.get(kind, none), topic_sentence(kind) or "")
        for kind in sorted({*topic_types(), *clients})
    ]


def _as_of(told: Sequence[ToldOfType] | None, now: datetime) -> datetime:
    return min((row.as_of for row in told or ()), default=now)
