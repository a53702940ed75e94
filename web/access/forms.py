"""Guards what changes something: who may send it, and from which page."""

from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, HTTPException, Request

from web.access.access import Access
from web.access.people import Person, ThePerson

#: The field of a form with its token.
TOKEN = "form_token"  # noqa: S105 (the name of a field)
_READING = ("GET", "HEAD", "OPTIONS")


def access_of(request: Request) -> Access:
    """Who may do what, of the application that answers."""
    access = request.app.state.access
    assert isinstance(access, Access)
    return access


async def _guarded(request: Request, person: ThePerson) -> None:
    if not person.may_act:
        raise HTTPException(403, _why_not(person, access_of(request)))
    if request.method in _READING:
        return
    _require_our_origin(request)
    token = (await request.form()).get(TOKEN)
    if not isinstance(token, str) or not access_of(request).is_form_token(token, person):
        raise HTTPException(
            403, "This form is not of this viewer, or of before its restart: load its page again."
        )


def guarded_router() -> APIRouter:
    """A router for what changes something.

    Every request needs the role operator; one that is not a GET also needs to come from a form of
    this viewer.
    """
    return APIRouter(prefix="/actions", dependencies=[Depends(_guarded)])


def _require_our_origin(request: Request) -> None:
    """Check that a page of this viewer sent the form; browsers tell, and pages cannot lie here."""
    given = request.headers.get("origin") or request.headers.get("referer") or ""
    try:
        page = urlsplit(given)
    except ValueError:
        page = urlsplit("")
    schemes = ("http", "https") if access_of(request).behind_proxy else (request.url.scheme,)
    if page.scheme not in schemes or page.netloc.lower() != request.headers["host"].lower():
        raise HTTPException(
            403,
            "The form was sent from another site, or the browser does not say from where; a proxy "
            "has to pass the Host header on as it came.",
        )


def _why_not(person: Person, access: Access) -> str:
    if not access.authenticates:
        return (
            "This viewer only shows: start it with --allow-actions, or with logins, of which some "
            "have the role operator."
        )
    return f"{person.name} may look; this needs the role operator."
