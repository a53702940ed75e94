"""The broker connection: the only package that imports pika."""

from runtime.broker.administration import Administration, QueueDepth
from runtime.broker.connecting import persistent
from runtime.broker.consumer import Consumer
from runtime.broker.events import Delivery, Event, Message, Nothing, PublishOutcome
from runtime.broker.properties import UNREADABLE, Properties, headers_size
from runtime.broker.publisher import ConfirmingPublisher, Retry
from runtime.broker.session import MAX_PREFETCH, Session
from runtime.broker.topology import declare, require_write

__all__ = [
    "MAX_PREFETCH",
    "UNREADABLE",
    "Administration",
    "ConfirmingPublisher",
    "Consumer",
    "Delivery",
    "Event",
    "Message",
    "Nothing",
    "Properties",
    "PublishOutcome",
    "QueueDepth",
    "Retry",
    "Session",
    "declare",
    "headers_size",
    "persistent",
    "require_write",
]
