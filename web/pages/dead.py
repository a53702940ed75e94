"""`/dead` and `/dead/{id}`: the dead letters, as the viewer's one look saw them."""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import Field

from console.dead.view import readable, reason_words
from console.places import page_of
from runtime.printable import printable
from web.fields import Filter, Optional, Text
from web.letters import KEPT
from web.page import Page, command_line, render
from web.site import TheSite
from web.watching import Look

router = APIRouter()

#: Bytes of a line of a dump.
_WIDTH = 16


class LetterList(Filter):
    """The values of the list's URL; `after` is the number of the last letter before."""

    reason: Optional[Text] = None
    after: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 50


@router.get("/dead")
def dead(request: Request, site: TheSite, asked: Annotated[LetterList, Query()]) -> HTMLResponse:
    """A page of the list, oldest first."""
    look = site.watching.look()
    numbered = [
        (number, seen)
        for number, seen in enumerate(look.letters.letters, 1)
        if asked.reason in (None, seen.letter.reason)
    ]
    later = [one for one in numbered if one[0] > asked.after]
    shown, last = page_of(later, asked.limit)
    page = Page(
        title="Dead letters",
        command=command_line("statesys dead list", asked.with_values(after=None, limit=None)),
        as_of=look.letters.as_of,
    )
    return render(
        request,
        "dead.html",
        page,
        asked=asked,
        away=_away(look),
        cut=look.letters.cut,
        found=len(numbered),
        letters=shown,
        reasons=Counter(seen.letter.reason for seen in look.letters.letters).most_common(),
        reason_words=reason_words,
        following=asked.following(last and last[0]),
    )


@router.get("/dead/{name:path}")
def letter(request: Request, site: TheSite, name: str) -> HTMLResponse:
    """One dead letter."""
    look = site.watching.look()
    copies = [seen for seen in look.letters.letters if seen.letter.name == name]
    if not copies:
        raise HTTPException(404, _away(look) or f"no dead letter {name}: replayed, or deleted?")
    seen = copies[0]
    text, exact = _text(seen.body)
    # A name may look like an option.
    words = ["--", name] if name.startswith("-") else [name]
    page = Page(
        title=f"Dead letter {name}",
        command=command_line("statesys dead show", None, *words),
        as_of=look.letters.as_of,
    )
    return render(
        request,
        "letter.html",
        page,
        letter=seen.letter,
        copies=len(copies),
        headers=[(printable(key), printable(value)) for key, value in seen.headers.items()],
        kept=KEPT,
        text=text if exact else None,
        dump=None if exact else hexdump(seen.body),
        why=reason_words(seen.letter.reason),
        replay=command_line("statesys dead replay", None, *words),
    )


def _text(body: bytes) -> tuple[str, bool]:
    """A body as text; the last character of a body that was cut may be incomplete."""
    text, exact = readable(body)
    if not exact and len(body) == KEPT:
        for missing in (1, 2, 3):
            shorter, whole = readable(body[:-missing])
            if whole:
                return shorter, True
    return text, exact


def _away(look: Look) -> str | None:
    """Why the dead letters are not known; None when they are."""
    return None if look.status.broker is not None else look.status.troubles[-1]


def hexdump(data: bytes) -> str:
    """Bytes that are no text: sixteen a line, as `00000010  3c 3f 78 …  |<?x…|`."""
    return "\n".join(_line(at, data[at : at + _WIDTH]) for at in range(0, len(data), _WIDTH))


def _line(at: int, part: bytes) -> str:
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
    return f"{at:08x}  {part.hex(' '):<{_WIDTH * 3 - 1}}  |{shown}|"
