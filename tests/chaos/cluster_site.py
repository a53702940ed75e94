"""A whole site on a cluster of three brokers."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psycopg

from runtime.devserver.place import Account
from runtime.devserver.processes import until
from schemas.errors import StatesysError
from tests.chaos.cluster_servers import NODES, ClusterServers
from tests.chaos.site import LOADERS, RELAYS, Site

#: Seconds for the workers to go on, on a busy machine.
_PATIENCE = 120.0
#: Seconds before a fault in which the last progress is looked for.
_BEFORE = 30.0


class Pauses(NamedTuple):
    """The longest times without progress around a fault, in seconds.

    Attributes:
        site: between two commits of new messages.
        worker: of the relay or loader that stood still longest.
    """

    site: float
    worker: float


class ClusterSite(Site):
    """A site whose workers and fleet know all three brokers.

    Attributes:
        servers: the brokers and the database.
        last_pauses: around the last fault.
    """

    servers: ClusterServers
    last_pauses = Pauses(0.0, 0.0)
    _PLACES: Mapping[str, Callable[[], Account]] = dict.fromkeys(
        ("rabbitmq/data", "rabbitmq-2/data", "rabbitmq-3/data"), Account
    )

    def _start_servers(self, home: Path) -> ClusterServers:
        return ClusterServers(home)

    def await_each(self) -> None:
        """Wait until every relay and loader has done some work from now on.

        Raises:
            StatesysError: one stands still.
        """
        sizes = {name: self._log(name).stat().st_size for name in (*RELAYS, *LOADERS)}

        def works(name: str) -> bool:
            return _progress(name).encode() in self._log(name).read_bytes()[sizes[name] :]

        for name in sizes:
            if not until(partial(works, name), seconds=_PATIENCE):
                self.check()
                raise StatesysError(f"{name} stands still")

    def pauses(self, since: float) -> Pauses:
        """The longest pauses that ended after a moment, in seconds since 1970."""
        query = """
            SELECT DISTINCT extract(epoch FROM loaded_at)::float8 AS at
            FROM statesys.state_message WHERE loaded_at > to_timestamp(%s) ORDER BY at
        """
        with psycopg.connect(self.servers.endpoints.database_url) as connection:
            commits = [at for (at,) in connection.execute(query, [since - _BEFORE])]
        workers = [_longest(self._times(name), since) for name in (*RELAYS, *LOADERS)]
        return Pauses(_longest(commits, since), max(workers))

    def _times(self, name: str) -> list[float]:
        """When a relay or loader has done its work, as seconds since 1970."""
        text = self._log(name).read_text(encoding="utf-8")
        lines = (line for line in text.splitlines() if _progress(name) in line)
        return [datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp() for line in lines]

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"


def _progress(name: str) -> str:
    """What its log has when a relay or loader has done its work."""
    return '"event": "relay.batch_sent"' if name in RELAYS else '"event": "loader.chunk_loaded"'


def _longest(moments: Sequence[float], since: float) -> float:
    """The longest time between two moments of which the second is after `since`."""
    times = [after - before for before, after in pairwise(moments) if after > since]
    return max(times, default=0.0)


def other_nodes(number: int) -> list[int]:
    """The numbers of the other nodes."""
    return [one for one in range(1, NODES + 1) if one != number]
