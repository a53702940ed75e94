"""What operators change, a module for each kind of thing.

A GET shows what would be done and has the form; its POST does it by the function of the command,
with an audit entry before and after, and leads to the page of that entry. All routers are made by
`guarded_router`.
"""

from web.actions import collections, dead, quarantine, resync

#: The routes of all actions.
ROUTERS = tuple(action.router for action in (resync, dead, quarantine, collections))
