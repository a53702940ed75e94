"""The broker connection: the one place that imports pika."""

from runtime.broker.administration import Administration, QueueDepth
from runtime.broker.connecting import Properties, persistent
from runtime.broker.session import Delivery, Event, Measured, Session, Settled

__all__ = [
    "Administration",
    "Delivery",
    "Event",
    "Measured",
    "Properties",
    "QueueDepth",
    "Session",
    "Settled",
    "persistent",
]
