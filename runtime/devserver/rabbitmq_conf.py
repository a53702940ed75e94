"""The private broker's configuration file."""

from runtime.devserver import ports
from runtime.devserver.registry import NAME, Rabbitmq

# Bytes. With less free disk space the broker takes no messages.
ROOM = 1_000_000_000

# The part of the machine's memory that all brokers together may use.
_MEMORY = 0.25

_FOR_EVERY_NODE = """\
# Written by `statesys up` at each start.
listeners.tcp.local = {host}:{amqp_port}
management.tcp.ip = {host}
management.tcp.port = {management_port}

# Takes effect at the first start only; there is no guest.
default_user = {user}
default_pass = {password}

# The UI and `statesys status` see counts at most this old (milliseconds). The default of 5,000
# is for brokers with thousands of queues.
collect_statistics_interval = 2000

# This node's share of the memory for brokers. The rest of this machine is PostgreSQL's and the
# pipeline's own; the default is 0.4.
vm_memory_high_watermark.relative = {memory}
# Stop publishers while there is still room for what is in flight: the default of 50 MB is less
# than one file of the log below.
disk_free_limit.absolute = {room}

# Everything in the quorum queues' write-ahead log is in memory too until its file is full. The
# default of 512 MiB per file lets an idle-looking broker hold well over 1 GiB.
raft.wal_max_size_bytes = 67108864
# Entries per segment file. A batch is up to 256 KiB, and a file goes only when all of it is
# acked: the default of 4,096 entries would make files of 1 GiB.
raft.segment_max_entries = 512

log.console = false
log.file.rotation.size = 10485760
log.file.rotation.count = 3
"""

_FOR_A_CLUSTER = """
# A node that sees fewer than half of the others stops its work until it sees them again: what it
# confirmed meanwhile could be lost.
cluster_partition_handling = pause_minority
# About so many seconds until a silent node counts as lost; the default of 60 is for slow networks.
net_ticktime = 20
"""

# The first node makes the cluster and the others join it, so that two cannot make one each.
_FOR_ONE_THAT_JOINS = """
# Takes effect at the first start only.
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = {first}
cluster_formation.classic_config.nodes.2 = {own}
"""


def node_name(number: int) -> str:
    """The Erlang name of a node."""
    return f"{NAME}@localhost" if number == 1 else f"{NAME}-{number}@localhost"


def configuration(node: Rabbitmq, *, nodes: int) -> str:
    """The text of rabbitmq.conf.

    Args:
        node: whose file it is.
        nodes: how many the cluster has; 1 is a broker alone.
    """
    text = _FOR_EVERY_NODE.format(
        host=ports.HOST,
        memory=round(_MEMORY / nodes, 3),
        room=ROOM,
        user=NAME,
        password=node.password,
        amqp_port=node.amqp_port,
        management_port=node.management_port,
    )
    if nodes > 1:
        text += _FOR_A_CLUSTER
    if node.number > 1:
        text += _FOR_ONE_THAT_JOINS.format(first=node_name(1), own=node_name(node.number))
    return text
