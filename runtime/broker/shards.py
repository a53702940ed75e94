"""How many shards a site has, and more of them.

The broker knows the number: a shard exists when its queue of reports does.
"""

from runtime.broker.administration import Administration
from schemas import topology


def count_shards(admin: Administration) -> int:
    """How many shards there are; 1 on a site that was never cut.

    Raises:
        BrokerUnavailable: the connection is lost.
    """
    if not admin.exchange_exists(topology.SPREAD.name):
        return 1
    names = topology.reports(topology.MAX_SHARDS)
    there = [shard for shard, name in enumerate(names) if shard and admin.depth(name) is not None]
    return max(there, default=0) + 1


def extend(admin: Administration, shards: int) -> None:
    """Make queues until there are so many shards, and let the reports of clients go to all.

    Each step leaves a way for every report, so that an end in the middle loses none; calling it
    again goes on. While the old binding is still there, some reports go to two queues, and count
    as duplicates.

    Args:
        shards: at least as many as there are, and at least 2.

    Raises:
        BrokerUnavailable, PermissionMissing, TopologyWrong: as `Administration.declare`.
    """
    made = topology.queues(shards)
    # Batches need their queue before a relay reads the reports of its shard.
    admin.declare(queue for queue in made if not topology.is_reports(queue.name))
    admin.declare(queue for queue in made if topology.is_reports(queue.name))
    admin.unbind(topology.REPORTS, topology.PUBLISHED)
