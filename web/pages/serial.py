"""`/clients/{client}/serials/{serial}`: where one message of a client is."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from console.trace.gather import serial_of_database
from console.trace.view import closed_words, message_facts, reason_words
from web.broker import broker_facts
from web.fields import Filter, Serial
from web.page import Page, command_line, render
from web.site import TheSite

router = APIRouter()


class AskedSerial(Filter):
    """The serial that a form asks about."""

    serial: Serial


@router.get("/clients/{client_id}/serials")
def find_serial(client_id: UUID, asked: Annotated[AskedSerial, Query()]) -> RedirectResponse:
    """Lead from a form to the page of the serial."""
    return RedirectResponse(f"/clients/{client_id}/serials/{asked.serial}")


@router.get("/clients/{client_id}/serials/{serial}")
def trace(request: Request, site: TheSite, client_id: UUID, serial: Serial) -> HTMLResponse:
    """Everything that is known of one serial."""
    with site.readers.snapshot() as queries:
        now, found = queries.now(), serial_of_database(queries, client_id, serial)
    broker = broker_facts(site, client_id)
    if broker is not None:
        found = found._replace(letters=[x.letter for x in broker.letters if serial in x.serials])
    page = Page(
        title=f"Serial {serial}",
        command=command_line("statesys trace", None, client_id, serial),
        as_of=now,
    )
    return render(
        request,
        "serial.html",
        page,
        trace=found,
        messages=[message_facts(row, found) for row in found.rows],
        reason_words=reason_words,
        closed_words=closed_words,
    )
