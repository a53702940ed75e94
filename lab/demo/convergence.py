"""When is the server done with what the fleet sent it? Asked between the steps of the fleet."""

import time
from collections.abc import Callable

from console.queries import Queries
from console.queries.rows import Arrival
from producers.store import StoreReader
from schemas.errors import StatesysError

#: Seconds between two looks.
PAUSE = 0.25
#: Seconds without any change after which the demo gives up. A check, a request and its answer
#: take about ten; a machine that is busy with other things, several times that.
STALL = 60.0


class Convergence:
    """The condition that ends the answering of resyncs.

    The last report of every client is a heartbeat or an answer, and those meet no fault: once all
    is loaded, every client's highest serial is its store's last one. A client whose serials are
    all there and accounted for has no open range.

    Args:
        store: of the fleet.
        queries: of the database.
        check: raises when a worker died.
        tell: shows a state in words.
    """

    def __init__(
        self,
        store: StoreReader,
        queries: Queries,
        *,
        check: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        self._store = store
        self._queries = queries
        self._check = check
        self._tell = tell
        self._look_at = 0.0
        self._last: tuple[Arrival, int] | None = None
        self._moved_at = time.monotonic()

    def reached(self) -> bool:
        """Whether everything arrived, nothing is missing and every request is closed.

        Raises:
            StatesysError: a worker died, or nothing moved for a minute.
        """
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + PAUSE
        self._check()
        arrival = self._queries.arrival()
        last_serials = sum(client.last_serial for client in self._store.clients())
        if (arrival, last_serials) != self._last:
            self._last, self._moved_at = (arrival, last_serials), now
        coming = max(last_serials - arrival.highest_serials, 0)
        self._tell(
            f"{coming:,} messages on the way, {arrival.open_ranges:,} missing ranges open, "
            f"{arrival.open_requests:,} clients asked"
        )
        if now - self._moved_at > STALL:
            raise StatesysError(
                f"nothing moved for {STALL:.0f} s: {coming:,} messages on the way, "
                f"{arrival.open_ranges:,} missing ranges open; look at the workers' logs"
            )
        return coming == 0 and arrival.open_ranges == 0 and arrival.open_requests == 0
