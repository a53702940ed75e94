"""The broker connection: the one place that imports pika."""

from runtime.broker.administration import Administration, QueueDepth
from runtime.broker.connecting import persistent
from runtime.broker.properties import UNREADABLE, Properties, headers_size
from runtime.broker.session import Delivery, Event, Measured, Nothing, Session, Settled
from runtime.broker.topology import declare

__all__ = [
    "UNREADABLE",
    "Administration",
    "Delivery",
    "Event",
    "Measured",
    "Nothing",
    "Properties",
    "QueueDepth",
    "Session",
    "Settled",
    "declare",
    "headers_size",
    "persistent",
]
