"""The shards of the site, as a running worker knows them."""

from runtime.broker import Administration
from runtime.broker.shards import count_shards


class Shards:
    """Looks for shards that are added while the worker runs. One thread looks, another one reads.

    Args:
        url: of the broker.
        name: of the connection.

    Attributes:
        known: how many shards there are. It never falls: a shard is never taken away.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self.known = 1
        self._url = url
        self._name = name

    def look(self) -> None:
        """Look for new shards.

        Raises:
            BrokerUnavailable: the broker is away; what was known counts.
        """
        with Administration(self._url, name=self._name) as admin:
            self.note(count_shards(admin))

    def note(self, found: int) -> None:
        """Note how many were found."""
        self.known = max(self.known, found)
