"""`/` and `/pipeline`: the site as the last look saw it: what is wrong, what flows, who works."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.completeness import sentence
from console.settings import used, workers_words
from console.status.view import database_facts
from console.status.workers import totals_words
from web.page import Page, render
from web.parts import values
from web.site import TheSite

router = APIRouter()


@router.get("/")
def start(request: Request, site: TheSite) -> HTMLResponse:
    """The start page."""
    look = site.watching.look()
    database = look.status.database
    page = Page(
        title="The site",
        command="statesys status",
        as_of=look.status.at,
        completeness=sentence(database.completeness, look.status.at) if database else None,
    )
    return render(request, "start.html", page, **values(look))


@router.get("/pipeline")
def pipeline(request: Request, site: TheSite) -> HTMLResponse:
    """Queues, workers, periodic tasks, history, rules and settings."""
    look = site.watching.look()
    half, now = look.status.database, look.status.at
    page = Page(title="Pipeline", command="statesys status", as_of=now)
    at_work = [worker for worker in half.workers if not worker.late] if half else []
    return render(
        request,
        "pipeline.html",
        page,
        half=half,
        facts=database_facts(half, now) if half else [],
        totals=[totals_words(totals) for totals in half.worker_totals] if half else [],
        used=used(at_work),
        workers_words=workers_words,
        **values(look),
    )
