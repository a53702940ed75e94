"""Publishes that wait for their confirm, matched with what the broker returns and confirms."""

from collections.abc import Iterator
from itertools import takewhile

from pika.spec import Basic

from runtime.broker.events import Message, PublishOutcome


class _Publish:
    """A message that was published and is not confirmed."""

    __slots__ = ("message", "returned")

    def __init__(self, message: Message) -> None:
        self.message = message
        # Why the broker returned it, or None.
        self.returned: str | None = None


class Unconfirmed:
    """The unconfirmed publishes of a channel, by their number in it."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Publish] = {}
        self._published = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self) -> None:
        """Count from one: a new channel does. Nothing is unconfirmed then."""
        self._published = 0

    def add(self, message: Message) -> None:
        """Add a message that is published now."""
        self._published += 1
        self._waiting[self._published] = _Publish(message)

    def mark_returned(self, method: Basic.Return, body: bytes) -> bool:
        """Mark the publish that the broker returns; False: none is like it.

        A return has no sequence number, but it arrives before the confirm of its message. Two
        messages with the same address and body are interchangeable, so confusing them loses
        neither. Properties do not help: senders of refused reports choose them, and many dead
        letters may have one message id.
        """
        returned = method.exchange, method.routing_key, body
        for publish in self._waiting.values():
            sent = publish.message
            if publish.returned is None and returned == (
                sent.exchange,
                sent.routing_key,
                sent.body,
            ):
                publish.returned = f"returned: {method.reply_text}"
                return True
        return False

    def confirmed(self, method: Basic.Ack | Basic.Nack) -> Iterator[PublishOutcome]:
        """Remove what the broker confirms, and give the outcome of each publish."""
        problem = "nack: the broker did not take it" if isinstance(method, Basic.Nack) else None
        tags = [method.delivery_tag]
        if method.multiple:
            # The tags are in order, so this reads the confirmed ones and one more.
            tags = list(takewhile(method.delivery_tag.__ge__, self._waiting))
        for tag in tags:
            publish = self._waiting.pop(tag)
            returned = publish.returned is not None
            yield PublishOutcome(publish.message.token, publish.returned or problem, returned)
