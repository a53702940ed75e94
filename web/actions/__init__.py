"""What operators change, a module for each kind of thing.

A GET shows what would be done and has the form; its POST does it by the function of the command,
with an audit entry before and after, and leads to the page of that entry.
"""

from fastapi import Request
from fastapi.responses import HTMLResponse

from web.access.forms import guarded_router
from web.actions.acting import add_action
from web.actions.collections import CreateCollection, DeleteCollection
from web.actions.dead import Purge, Replay
from web.actions.quarantine import Quarantine, Release
from web.actions.resync import Resync
from web.page import Page, render

#: The routes of all actions.
router = guarded_router()


@router.get("")
def actions(request: Request) -> HTMLResponse:
    """What an operator can do; each leads to a page that asks first."""
    return render(request, "actions.html", Page(title="Actions"))


for _kind in (Resync, Replay, Purge, Quarantine, Release, CreateCollection, DeleteCollection):
    add_action(router, _kind)
