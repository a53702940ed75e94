"""What a session publishes, and its events: all that `poll` may return."""

from typing import Any, NamedTuple

from runtime.broker.properties import Properties


class Delivery(NamedTuple):
    """A message that the broker delivered, and that we must settle."""

    tag: int
    queue: str
    body: bytes
    properties: Properties
    redelivered: bool


class Message(NamedTuple):
    """A message to publish; `token` is any value, and comes back in the `PublishOutcome`."""

    routing_key: str
    body: bytes
    properties: Properties
    token: Any
    exchange: str = ""


class PublishOutcome(NamedTuple):
    """The result of a publish; `problem` None means confirmed and not returned.

    Attributes:
        token: the one of the message.
        problem: why the broker did not take the message.
        returned: whether the reason is that no queue takes it.
    """

    token: Any
    problem: str | None
    returned: bool = False


class Measured(NamedTuple):
    """The answer to `measure`: messages ready in a queue."""

    queue: str
    ready: int


class Nothing(NamedTuple):
    """The answer to `fetch` when no message is ready in a queue."""

    queue: str


Event = Delivery | PublishOutcome | Measured | Nothing
