"""The faults of a cluster as a table: each breaks one or more brokers, and repairs them.

The workers are not touched: each must go on by itself, with the process that it was.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from random import Random

from runtime.devserver.rabbitmq import base
from tests.chaos.cluster_servers import NODES
from tests.chaos.cluster_site import ClusterSite, other_nodes
from tests.chaos.faults import Strike
from tests.chaos.site import LOADERS, Site, lasts

#: Breaks brokers of a site, and repairs them.
_Break = Callable[[ClusterSite, Random], None]
#: Picks a node.
_Pick = Callable[[ClusterSite, Random], int]

#: Seconds that a node is away, at least and at most.
_AWAY = (8.0, 12.0)
#: Seconds: longer than nodes take to count a silent one as lost, and a client its heartbeat.
_SILENT = 45.0
#: Seconds for which the loaders stand still, so that the queues fill.
_FILLING = 8.0


def _leader(site: ClusterSite, _rng: Random) -> int:
    return site.servers.leader()


def _follower(site: ClusterSite, rng: Random) -> int:
    return rng.choice(other_nodes(site.servers.leader()))


def _nothing(_site: ClusterSite, rng: Random) -> None:
    lasts(rng.uniform(*_AWAY))


def _killed(pick: _Pick, site: ClusterSite, rng: Random) -> None:
    """Kill one node; the site has to go on without it."""
    with _killed_nodes(site, [pick(site, rng)]):
        lasts(rng.uniform(*_AWAY))
        _require_progress(site)


def _two_killed(site: ClusterSite, rng: Random) -> None:
    first = site.servers.leader()
    with _killed_nodes(site, [first, rng.choice(other_nodes(first))]):
        lasts(rng.uniform(*_AWAY))


def _all_killed(site: ClusterSite, _rng: Random) -> None:
    with _killed_nodes(site, list(range(1, NODES + 1))):
        pass


@contextmanager
def _killed_nodes(site: ClusterSite, numbers: list[int]) -> Iterator[None]:
    """Kill some nodes, and start them again after the block."""
    for number in numbers:
        site.servers.kill(site.servers.node(number))
    yield
    _start_again(site)


def _frozen(site: ClusterSite, _rng: Random) -> None:
    with site.servers.frozen(site.servers.leader()):
        lasts(_SILENT)
    site.servers.await_whole()


def _cut_off(silently: bool, site: ClusterSite, rng: Random) -> None:
    site.servers.links.cut(site.servers.leader(), silently=silently)
    try:
        lasts(_SILENT if silently else rng.uniform(*_AWAY))
    finally:
        site.servers.links.heal()
    site.servers.await_whole()


def _full_disk(site: ClusterSite, rng: Random) -> None:
    """The broker does not recover by itself: an operator restarts it."""
    number = site.servers.leader()
    place = base(site.servers.home, number).name
    with site.disks[f"{place}/data"].full():
        lasts(rng.uniform(*_AWAY))
    site.servers.kill(site.servers.node(number))
    _start_again(site)


def _rolling_restart(site: ClusterSite, _rng: Random) -> None:
    """Restart one node after another while the loaders empty full queues."""
    for name in LOADERS:
        site.send(name, signal.SIGSTOP)
    lasts(_FILLING)
    for name in LOADERS:
        site.send(name, signal.SIGCONT)
    for number in range(1, NODES + 1):
        site.servers.stop(site.servers.node(number), signal.SIGTERM)
        _start_again(site)


def _start_again(site: ClusterSite) -> None:
    site.servers.up_again()
    site.servers.await_whole()


def lose_leader(site: ClusterSite, rng: Random) -> None:
    """Kill the leader for good."""
    site.servers.kill(site.servers.node(_leader(site, rng)))


def strike_of(breaks: _Break) -> Strike:
    """A fault that measures the longest time without progress of a worker, as seconds."""

    def strike(site: Site, rng: Random) -> float:
        assert isinstance(site, ClusterSite)
        site.servers.await_whole()
        pids, begun = site.pids(), time.time()
        breaks(site, rng)
        _require_progress(site)
        site.require_same(pids)
        site.last_pauses = site.pauses(begun)
        return site.last_pauses.worker

    return strike


def _require_progress(site: ClusterSite) -> None:
    """Wait until all workers work, and a report that a relay took by now is committed."""
    now = time.time()
    site.await_each()
    site.await_progress(now, received=True)
    site.await_health(("relay", "loader"), well=True)


_KINDS: Mapping[str, _Break] = {
    "nothing, for comparison": _nothing,
    "leader: SIGKILL": partial(_killed, _leader),
    "follower: SIGKILL": partial(_killed, _follower),
    "two nodes: SIGKILL": _two_killed,
    "all nodes: SIGKILL": _all_killed,
    "leader: SIGSTOP for 45 s": _frozen,
    "leader: cut off, connections reset": partial(_cut_off, False),
    "leader: cut off in silence for 45 s": partial(_cut_off, True),
    "one node after another: restart": _rolling_restart,
    "leader: full disk, restart": _full_disk,
}

#: All faults of a cluster.
FAULTS: Mapping[str, Strike] = {name: strike_of(breaks) for name, breaks in _KINDS.items()}

#: Faults that need a site with small disks.
DISK = ("leader: full disk, restart",)
