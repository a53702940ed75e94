"""What the pages read from: the database, the broker, and the settings."""

import threading
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from console.messages.search import MessagePage
from runtime.settings import Settings
from web.cached import Cached
from web.live import Live
from web.metrics import SiteMetrics
from web.parts import draw
from web.questions import Questions
from web.readers import Readers
from web.watching import Watching

#: Requests that read the database at the same time at most.
_SESSIONS = 8
#: Milliseconds of a statement at most; Prometheus waits 10 s for all that a scrape asks.
_TIMEOUT, _SCRAPE_TIMEOUT = 10_000, 3_000


class Site:
    """The servers of a site, as the viewer reads them.

    Args:
        settings: with the URLs of the servers.

    Attributes:
        readers: sessions of the database.
        questions: that wait for a person's answer.
        letters: held by who takes dead letters; others would see an empty queue meanwhile.
        metrics: what Prometheus scrapes.
        watching: one look at the whole site for all viewers.
        live: what changes on pages that are open.
        tails: the newest messages, by filter; live pages ask every two seconds.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.questions = Questions()
        self.letters = threading.Lock()
        self.readers = Readers(settings.required_read_url(), sessions=_SESSIONS, timeout=_TIMEOUT)
        # Of its own: an alert must not depend on how many read pages. And of the server that is
        # written to: a standby that was cut off would tell for ever that all is well.
        self._scraping = Readers(
            settings.required_database_url(), sessions=1, timeout=_SCRAPE_TIMEOUT
        )
        self.metrics = SiteMetrics(settings, self._scraping.snapshot, taking=self.letters)
        # Of its own and of that server too: pages that are busy must not look like a database that
        # is away.
        self._looking = Readers(settings.required_database_url(), sessions=1, timeout=_TIMEOUT)
        self.watching = Watching(settings, self._looking, self.letters)
        self.live = Live(self.watching, draw)
        self.tails: Cached[tuple[datetime, MessagePage]] = Cached(seconds=1.5)

    def close(self) -> None:
        """Stop watching, and close every connection."""
        self.watching.close()
        for readers in (self.readers, self._scraping, self._looking):
            readers.close()


# In the event loop: a thread may be long in coming.
async def _site(request: Request) -> Site:
    site = request.app.state.site
    assert isinstance(site, Site)
    return site


#: The argument of a page that reads the site.
TheSite = Annotated[Site, Depends(_site)]
