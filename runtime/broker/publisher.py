"""Publish messages until the broker confirms them, with many of them unconfirmed at a time.

| a message is | when | and becomes |
|---|---|---|
| waiting | its address does not pause, and no alarm blocks publishers | unconfirmed |
| unconfirmed | the broker confirms it | confirmed: reported, dropped |
| unconfirmed | the broker returns or nacks it, with a `Retry` | reported, waiting; address pauses |
| unconfirmed | the broker returns or nacks it, without a `Retry` | given up: reported, dropped |
| waiting or unconfirmed | the session is lost | void: not reported, and perhaps not published |

"Reported" means one `PublishOutcome` from `poll`. An address is an exchange and a routing key:
while one queue is full or missing, the messages for other queues go on. `PublishWindow` is this
table without a socket or a clock; `ConfirmingPublisher` applies it to a session.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from runtime.broker.events import Event, Message, PublishOutcome
from runtime.broker.session import Session

#: Messages that one publisher should hold. A quorum queue confirms within some milliseconds; at
#: 5,000 messages a second that is some dozens of messages. Thousands of them keep the connection
#: busy during a transaction of the sender.
WINDOW = 2000
#: Bytes of bodies that one publisher should hold, because 2,000 messages can be very large.
WINDOW_BYTES = 32 * 1024 * 1024


class Retry(NamedTuple):
    """Seconds of the first pause before another try, doubled up to the longest.

    After a confirm, an address begins with the first pause again.
    """

    first: float
    longest: float

    def pause_after(self, last: float | None) -> float:
        """The pause that follows one of `last` seconds; with None the first one."""
        return self.first if last is None else min(2 * last, self.longest)


class _Address:
    """An exchange and routing key, with the messages that wait for it."""

    __slots__ = ("again_at", "pause", "refuses", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Message] = deque()
        self.pause: float | None = None
        self.again_at = 0.0
        # Whether a message waits because the broker refused it.
        self.refuses = False


class PublishWindow:
    """Decides which messages to publish now. Pure; time comes in as seconds, monotonic.

    Args:
        retry: when to publish again; with None, refused messages are given up.
    """

    def __init__(self, retry: Retry | None = None) -> None:
        self._retry = retry
        self._addresses: dict[tuple[str, str], _Address] = {}
        self._held = 0
        self._held_bytes = 0

    def __len__(self) -> int:
        """Messages that are waiting or unconfirmed."""
        return self._held

    @property
    def full(self) -> bool:
        """Whether the sender should stop adding messages for now."""
        return self._held >= WINDOW or self._held_bytes >= WINDOW_BYTES

    @property
    def refused(self) -> bool:
        """Whether a message waits because the broker refused it."""
        return any(address.refuses for address in self._addresses.values())

    def add(self, message: Message) -> None:
        """Add a new message, as waiting."""
        self._held += 1
        self._held_bytes += len(message.body)
        self._address(message).waiting.append(message)

    def again(self, now: float) -> bool:
        """Whether `take` would return a message that was refused before."""
        return any(address.refuses for address in self._due(now))

    def take(self, now: float) -> list[Message]:
        """Take the messages to publish now; they are unconfirmed from here on."""
        taken: list[Message] = []
        for address in self._due(now):
            taken += address.waiting
            address.waiting.clear()
            address.refuses = False
        return taken

    def note_outcome(self, message: Message, problem: str | None, now: float) -> None:
        """Apply the broker's answer to an unconfirmed message; `problem` None is a confirm."""
        address = self._address(message)
        if problem is not None and self._retry is not None:
            address.waiting.append(message)
            address.refuses = True
            # Messages that come back together share one pause.
            if address.again_at <= now:
                address.pause = self._retry.pause_after(address.pause)
                address.again_at = now + address.pause
            return
        self._held -= 1
        self._held_bytes -= len(message.body)
        if problem is None:
            address.pause = None

    def wait(self, now: float) -> float | None:
        """Seconds until the next waiting message is due; None when no message waits."""
        moments = [one.again_at for one in self._addresses.values() if one.waiting]
        return max(0.0, min(moments) - now) if moments else None

    def _address(self, message: Message) -> _Address:
        key = (message.exchange, message.routing_key)
        found = self._addresses.get(key)
        if found is None:
            found = self._addresses[key] = _Address()
        return found

    def _due(self, now: float) -> Iterator[_Address]:
        return (one for one in self._addresses.values() if one.waiting and one.again_at <= now)


class ConfirmingPublisher:
    """Publishes on a session, which the caller closes. For one thread, like the session.

    It ends with the session. The caller keeps unconfirmed messages (in a queue, an outbox, a
    table), and gives them to the publisher of the next session.

    Args:
        session: to publish on.
        retry: when to publish again; with None, refused messages are given up.
        before_again: called before refused messages are published again, through a new channel and
            when nothing is unconfirmed; it can declare a queue that was deleted.

    Attributes:
        session: the same.
    """

    def __init__(
        self,
        session: Session,
        *,
        retry: Retry | None = None,
        before_again: Callable[[], object] = lambda: None,
    ) -> None:
        self.session = session
        self._before_again = before_again
        self._window = PublishWindow(retry)
        # Whether nothing is published until all outcomes have come.
        self._held_back = False

    def __len__(self) -> int:
        """Messages that are waiting or unconfirmed."""
        return len(self._window)

    @property
    def full(self) -> bool:
        """Whether the sender should stop adding messages for now."""
        return self._window.full

    @property
    def refused(self) -> bool:
        """Whether a message waits because the broker refused it."""
        return self._window.refused

    def publish(self, message: Message) -> None:
        """Add a message; the next `poll` publishes it."""
        self._window.add(message)

    def poll(self, timeout: float) -> list[Event]:
        """Publish the messages that are due, and return the session's events.

        Args:
            timeout: seconds to wait at most; less when a waiting message is due earlier.

        Returns:
            The session's events; each `PublishOutcome` carries the token of its message.

        Raises:
            BrokerUnavailable: the session is lost, and the messages it held are void.
            PermissionMissing: the same, because the user may not publish there.
        """
        self._go()
        return [
            self._outcome(event) if isinstance(event, PublishOutcome) else event
            for event in self.session.poll(self._patience(timeout))
        ]

    def await_outcomes(self, patience: float) -> Iterator[PublishOutcome]:
        """Poll until no message is waiting or unconfirmed, for `patience` seconds at most.

        Raises:
            BrokerUnavailable, PermissionMissing: as `poll`.
        """
        deadline = time.monotonic() + patience
        while len(self) and (left := deadline - time.monotonic()) > 0:
            yield from (event for event in self.poll(left) if isinstance(event, PublishOutcome))

    def _go(self) -> None:
        if self.session.blocked is not None:
            return
        now = time.monotonic()
        again = self._window.again(now)
        self._held_back = again and self.session.unconfirmed > 0
        if self._held_back:
            return
        if again:
            self._before_again()
            self.session.publish_afresh()
        for message in self._window.take(now):
            # The session returns the token; `_outcome` needs the whole message.
            self.session.publish(message._replace(token=message))

    def _outcome(self, event: PublishOutcome) -> PublishOutcome:
        message: Message = event.token
        self._window.note_outcome(message, event.problem, time.monotonic())
        return event._replace(token=message.token)

    def _patience(self, timeout: float) -> float:
        if self.session.blocked is not None or self._held_back:
            return timeout
        wait = self._window.wait(time.monotonic())
        return timeout if wait is None else min(timeout, wait)
