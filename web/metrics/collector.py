"""The collector that prometheus_client asks at each scrape."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from runtime.settings import Settings
from schemas.errors import StatesysError
from web.metrics.families import families
from web.metrics.letters import DeadLetters, LetterCounts
from web.metrics.measuring import Measured, OpenQueries, measure
from web.metrics.throttled import Throttled

_log = structlog.get_logger()

#: Seconds for which what the servers said is good, however many scrape.
_MEASURED_FOR = 5.0
#: Seconds between two counts of the dead letters, which others do not see meanwhile.
_LOOKED_FOR = 15.0


class SiteMetrics(Collector):
    """The metrics of a site.

    Args:
        settings: with the URLs of the servers.
        open_queries: opens queries that read one snapshot.
        taking: a lock; the thread that takes dead letters from the queue holds it. They are counted
            every 15 s.

    Attributes:
        measured: what the servers say, at most 5 s old.
        letters_trouble: why dead letters were not known at the last scrape.
    """

    def __init__(
        self,
        settings: Settings,
        open_queries: OpenQueries,
        *,
        taking: "threading.Lock | None" = None,
    ) -> None:
        self.measured: Callable[[], Measured] = Throttled(
            partial(measure, settings, open_queries), seconds=_MEASURED_FOR
        )
        self._dead_letters: Callable[[], DeadLetters] = Throttled(
            LetterCounts(settings, taking), seconds=_LOOKED_FOR
        )
        self.letters_trouble: StatesysError | None = None

    def collect(self) -> Iterator[Metric]:
        """The families, for prometheus_client."""
        measured = self.measured()
        # A broker that is away need not be asked twice.
        dead = None if measured.broker is None else self._look()
        yield from families(measured, dead)

    def _look(self) -> DeadLetters | None:
        try:
            found = self._dead_letters()
        except StatesysError as error:
            # A permission, for example, which the depth of a queue does not need.
            if str(error) != str(self.letters_trouble):
                _log.warning("metrics.dead_letters_unknown", why=str(error))
            self.letters_trouble = error
            return None
        self.letters_trouble = None
        return found
