"""A private cluster of three brokers, whose nodes can be killed and cut off."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.broker.hosts import addresses
from runtime.devserver import ports, registry
from runtime.devserver.processes import until
from runtime.files import our_directory
from schemas.errors import StatesysError
from schemas.topology import work
from tests.chaos.links import Links
from tests.chaos.servers import Servers
from tests.support.management import Management

NODES = 3
#: Seconds for the nodes to be together again, on a busy machine.
_PATIENCE = 120.0


class ClusterServers(Servers):
    """Three brokers and a database; the constructor starts them.

    Args:
        home: their directory.

    Attributes:
        links: the connections between the nodes.
    """

    def __init__(self, home: Path) -> None:
        our_directory(home)
        made = registry.create(home.resolve(), nodes=NODES)
        mappers = ports.choose(NODES)
        brokers = tuple(
            replace(one, epmd_port=mapper)
            for one, mapper in zip(made.brokers, mappers, strict=True)
        )
        registry.save(replace(made, brokers=brokers))
        self.links = Links(brokers)
        try:
            super().__init__(home)
        except BaseException:
            self.links.close()
            raise

    def close(self, *, purge: bool) -> None:
        """Stop all; `purge` deletes their data too."""
        super().close(purge=purge)
        self.links.close()

    def url_of(self, number: int) -> str:
        """The AMQP URL of one node."""
        return addresses(self.endpoints.amqp_url)[number - 1]

    def leader(self) -> int:
        """The node that leads most of the queues on the way into the database."""
        found: Counter[str] = Counter()

        def known() -> bool:
            found.clear()
            for queue in work(shards=1):
                told = self._told("queues", "/", queue) or {}
                found[str(told.get("leader"))] += 1
            return not found.keys() & {"None", ""}

        if not until(known, seconds=_PATIENCE):
            raise StatesysError(f"the queues do not say who leads them: {found}")
        ((name, _),) = found.most_common(1)
        return self._number(name)

    @contextmanager
    def frozen(self, number: int) -> Iterator[None]:
        """Stop a node in the block: it accepts connections and answers nothing."""
        process = self.node(number)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGCONT)

    def await_whole(self) -> None:
        """Wait until all nodes run and every queue has a member on each of them.

        Raises:
            StatesysError: it does not happen.
        """

        def whole() -> bool:
            return all(
                sum(bool(node["running"]) for node in found) == NODES
                for found in self._told_by_each("nodes")
            ) and all(
                len((self._told("queues", "/", queue) or {}).get("online", ())) == NODES
                for queue in work(shards=1)
            )

        if not until(whole, seconds=_PATIENCE):
            raise StatesysError("the nodes do not come together again")

    def _told(self, *path: str) -> Any:
        """The first answer of a node; None when none answers."""
        return next((found for found in self._told_by_each(*path) if found), None)

    def _told_by_each(self, *path: str) -> Iterator[Any]:
        """The answer of each node's management API; empty for a node that gives none."""
        for node in self._kept.brokers:
            account = f"{registry.NAME}:{node.password}"
            api = Management(f"http://{account}@{ports.HOST}:{node.management_port}")
            try:
                yield api.call("GET", *path)
            except (OSError, ValueError):
                yield ()

    @staticmethod
    def _number(name: str) -> int:
        """The number of `statesys-2@localhost`."""
        _, _, number = name.partition("@")[0].partition("-")
        return int(number or 1)
