"""`/messages/{client}/{key}`: one message, and its XML."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from web.page import Page, command_line, render
from web.site import TheSite
from web.stored_message import find_message, rendered

router = APIRouter()

#: Characters of the XML that a page shows; the file has all.
_SHOWN = 100_000


# Before the page, whose key would not match it anyway.
@router.get("/messages/{client_id}/{key}.xml")
def message_as_xml(site: TheSite, client_id: UUID, key: str) -> Response:
    """The message alone, as a file."""
    found = find_message(site, client_id, key)
    headers = {"Content-Disposition": f'attachment; filename="{client_id}-{key}.xml"'}
    return Response(rendered(found.message), media_type="application/xml", headers=headers)


@router.get("/messages/{client_id}/{key}")
def message(request: Request, site: TheSite, client_id: UUID, key: str) -> HTMLResponse:
    """One message: what is kept of it, by name, and rendered again as XML."""
    now, found = find_message(site, client_id, key)
    numbered = [] if found.serial is None else [found.serial]
    xml = rendered(found)
    page = Page(
        title="State message",
        command=command_line("statesys trace", None, client_id, *numbered),
        as_of=now,
    )
    return render(
        request,
        "message.html",
        page,
        message=found,
        xml=xml[:_SHOWN],
        cut=len(xml) > _SHOWN,
        length=len(xml),
        file=f"/messages/{client_id}/{key}.xml",
    )
