"""Publishing until the broker has it, with many messages on their way at a time.

| a message is | when | and becomes |
|---|---|---|
| waiting | its address does not pause, and no alarm blocks publishers | in the air |
| in the air | the broker confirms it | confirmed: told, forgotten |
| in the air | the broker returns or nacks it, with a `Retry` | told, waiting; its address pauses |
| in the air | the broker returns or nacks it, without a `Retry` | given up: told, forgotten |
| waiting or in the air | the session is lost | void: not told, and not known to be safe |

"Told" is one `PublishOutcome` from `poll`. An address is an exchange and a routing key: while one
queue is full or missing, the messages for the others go on. `PublishWindow` is this table without a
socket or a clock; `ConfirmingPublisher` does what it says on a session.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from runtime.broker.events import Event, PublishOutcome
from runtime.broker.properties import Properties
from runtime.broker.session import Session

#: Messages that one publisher should hold. The confirms of a quorum queue take some milliseconds,
#: at 5,000 messages a second some dozens of messages; thousands let a transaction of the sender
#: pass while the line stays busy.
WINDOW = 2000
#: Bytes of bodies that one publisher should hold: 2,000 messages can be very large ones.
WINDOW_BYTES = 32 * 1024 * 1024


class Message(NamedTuple):
    """What is published; `token` is anything, and comes back in its `PublishOutcome`."""

    routing_key: str
    body: bytes
    properties: Properties
    token: Any
    exchange: str = ""


class Retry(NamedTuple):
    """Seconds of the first pause before another try, doubled up to the longest.

    For an address, a confirm there makes the next pause a first one again.
    """

    first: float
    longest: float

    def pause_after(self, last: float | None) -> float:
        """The pause after one of `last` seconds; None asks for the first one."""
        return self.first if last is None else min(2 * last, self.longest)


class _Address:
    """Where messages go, and what waits for it."""

    __slots__ = ("again_at", "pause", "refuses", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Message] = deque()
        self.pause: float | None = None
        self.again_at = 0.0
        # Whether something waits because it was refused.
        self.refuses = False


class PublishWindow:
    """Which messages go now, and which wait. Pure; time comes in as seconds, monotonic.

    Args:
        retry: how to publish again; None gives up what the broker refuses.
    """

    def __init__(self, retry: Retry | None = None) -> None:
        self._retry = retry
        self._addresses: dict[tuple[str, str], _Address] = {}
        self._held = 0
        self._held_bytes = 0

    def __len__(self) -> int:
        """Messages that wait or are in the air."""
        return self._held

    @property
    def full(self) -> bool:
        """Whether the sender should add no more for the moment."""
        return self._held >= WINDOW or self._held_bytes >= WINDOW_BYTES

    @property
    def refused(self) -> bool:
        """Whether something waits because the broker did not take it."""
        return any(address.refuses for address in self._addresses.values())

    def add(self, message: Message) -> None:
        """A new message: it waits."""
        self._held += 1
        self._held_bytes += len(message.body)
        self._address(message).waiting.append(message)

    def again(self, now: float) -> bool:
        """Whether `take` would bring a message that was refused before."""
        return any(address.refuses for address in self._due(now))

    def take(self, now: float) -> list[Message]:
        """What goes now: from here on it is in the air."""
        taken: list[Message] = []
        for address in self._due(now):
            taken += address.waiting
            address.waiting.clear()
            address.refuses = False
        return taken

    def note_outcome(self, message: Message, problem: str | None, now: float) -> None:
        """The broker said what became of a message in the air; `problem` None is confirmed."""
        address = self._address(message)
        if problem is not None and self._retry is not None:
            address.waiting.append(message)
            address.refuses = True
            # Those that come back together share one pause.
            if address.again_at <= now:
                address.pause = self._retry.pause_after(address.pause)
                address.again_at = now + address.pause
            return
        self._held -= 1
        self._held_bytes -= len(message.body)
        if problem is None:
            address.pause = None

    def wait(self, now: float) -> float | None:
        """Seconds until something goes that waits now; None when nothing waits."""
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
    """Publishes on a session, which the caller closes. Of one thread, like the session.

    Nothing of it outlives the session: who holds what is not confirmed (a queue, an outbox, a
    table) hands it to the publisher of the next one.

    Args:
        session: to publish on.
        retry: how to publish again; None gives up what the broker refuses.
        before_again: called before refused messages go again. Perhaps somebody deleted the queue.

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

    def __len__(self) -> int:
        """Messages that wait or are in the air."""
        return len(self._window)

    @property
    def full(self) -> bool:
        """Whether the sender should hand over no more for the moment."""
        return self._window.full

    @property
    def refused(self) -> bool:
        """Whether something waits because the broker did not take it."""
        return self._window.refused

    def publish(self, message: Message) -> None:
        """Hand over a message; it goes with the next `poll`."""
        self._window.add(message)

    def poll(self, timeout: float) -> list[Event]:
        """Publish what is due, and return what came of the session.

        Args:
            timeout: seconds to wait at most, less when something waits that goes earlier.

        Returns:
            The session's events; each `PublishOutcome` carries the token of its message.

        Raises:
            BrokerUnavailable: the session is lost; what it held is void.
            PermissionMissing: the same, because the user may not publish there.
        """
        self._go()
        return [
            self._outcome(event) if isinstance(event, PublishOutcome) else event
            for event in self.session.poll(self._patience(timeout))
        ]

    def await_outcomes(self, patience: float) -> Iterator[PublishOutcome]:
        """Poll until nothing waits or is in the air, for `patience` seconds at most.

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
        if self._window.again(now):
            self._before_again()
        for message in self._window.take(now):
            self.session.publish(
                exchange=message.exchange,
                routing_key=message.routing_key,
                body=message.body,
                properties=message.properties,
                token=message,
            )

    def _outcome(self, event: PublishOutcome) -> PublishOutcome:
        message: Message = event.token
        self._window.note_outcome(message, event.problem, time.monotonic())
        return event._replace(token=message.token)

    def _patience(self, timeout: float) -> float:
        wait = None if self.session.blocked is not None else self._window.wait(time.monotonic())
        return timeout if wait is None else min(timeout, wait)
