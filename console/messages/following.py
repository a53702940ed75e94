"""Shows messages as they are loaded, until Ctrl-C."""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from console.messages.search import Search, search
from console.messages.view import as_data, show_line
from console.output import print_json_line
from console.queries import Queries
from console.queries.messages import FoundMessage, InTime, MessageFilter

#: Seconds between two looks.
_PAUSE = 1.0
#: Each look also reads what was loaded so long before the last one. A message counts as loaded
#: when its transaction began, and is seen when that has ended.
_AGAIN = timedelta(minutes=1)
_PAGE = 1000


def follow(queries: Queries, asked: Search, *, as_json: bool) -> None:
    """Show the newest messages, the oldest first, then each as it is loaded.

    Args:
        asked: `limit` is for the first look; later ones show all.
    """
    chosen = asked.chosen
    if asked.client is not None:
        chosen = replace(chosen, only_client=queries.client_id_of(asked.client))
    until = queries.now()
    with queries.snapshot():
        first = search(queries, asked, now=until).messages
        # Also those that the first look has no room for: they are older than the shown ones.
        known = [*first, *_loaded(queries, chosen, until - _AGAIN, until)]
    try:
        while True:
            _show(first, as_json=as_json)
            shown = set(map(_name, known))
            time.sleep(_PAUSE)
            # A standby's clock, or a server's, may be set back.
            since, until = until - _AGAIN, max(until, queries.now())
            with queries.snapshot():
                known = _loaded(queries, chosen, since, until)
            first = [one for one in known if _name(one) not in shown]
    except KeyboardInterrupt:
        # The usual way to end it.
        return


def _loaded(
    queries: Queries, chosen: MessageFilter, since: datetime, until: datetime
) -> list[FoundMessage]:
    """All that was loaded within a time."""
    found: list[FoundMessage] = []
    behind: InTime | None = InTime(until)
    while behind is not None:
        page = queries.messages_in_time(chosen, since=since, behind=behind, limit=_PAGE)
        found += page.messages
        behind = page.behind
    return found


def _name(one: FoundMessage) -> tuple[UUID, str]:
    return one.client_id, one.key


def _show(found: Iterable[FoundMessage], *, as_json: bool) -> None:
    for one in sorted(found, key=_place):
        if as_json:
            print_json_line(as_data(one))
        else:
            show_line(one)


def _place(one: FoundMessage) -> tuple[datetime, UUID, bool, int, bytes]:
    """Where a message stands: as it was loaded, and by its number within a transaction."""
    return one.loaded_at, one.client_id, one.serial is None, one.serial or 0, one.digest
