"""`/`: what is wrong, and what flows."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.completeness import sentence
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
