"""A session: one connection and one channel, driven by the thread that calls `poll`.

pika's `SelectConnection` works with callbacks; here they all append to a list of events, so that
callers have simple loops: poll, read the events, act. A blocking connection would wait a round
trip for each confirm (about 3,000 publishes a second); with any number of unconfirmed messages
the same machine reaches about 20,000.

A session is not repaired. When the connection is lost, `poll` raises `BrokerUnavailable`, and all
deliveries and publishes are void. The caller makes a new session; delivery tags are valid only in
their own session.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.exceptions import AMQPError, ChannelClosedByClient, NoFreeChannels
from pika.spec import Basic

from runtime.broker.connecting import CONNECT_TIMEOUT, connect, failure, where
from runtime.broker.deliveries import Cut, cut_out
from runtime.broker.events import Delivery, Event, Measured, Message, Nothing, PublishOutcome
from runtime.broker.properties import Properties, ReceivedProperties
from runtime.broker.unconfirmed import Unconfirmed
from runtime.broker.writes import join_frames
from schemas.errors import BrokerUnavailable, StatesysError

#: Seconds to wait for the end of a session that is blocked or not open yet: during an alarm, the
#: broker does not read our close frame, and a host that is silent must not hold us any longer.
_CLOSE_HASTILY = 1.0
#: Bounds of the prefetch of one consumer (messages).
_MIN_PREFETCH, MAX_PREFETCH = 10, 2000


def bounded(prefetch: int) -> int:
    """A prefetch within its limits: 10..2,000, or 1, which is for very large messages."""
    return prefetch if prefetch == 1 else min(max(prefetch, _MIN_PREFETCH), MAX_PREFETCH)


class Session:
    """One connection, with channels in confirm mode. Not thread-safe, except `wake`.

    Args:
        url: of the broker.
        name: shown in the RabbitMQ UI.

    Raises:
        BrokerUnavailable: there is no connection.

    Attributes:
        blocked: why the broker blocks publishers at the moment (memory, disk), or None.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._events: list[Event] = []
        self._unconfirmed = Unconfirmed()
        # The queue of each consumer, by its tag.
        self._consumers: dict[bytes, str] = {}
        self._fetching = ""
        self._failure: StatesysError | None = None
        self.blocked: str | None = None
        # Consumes, settles and asks; publishes too, until `publish_afresh`.
        self._channel: Channel
        self._publishing: Channel
        connect(url, name, self._connect)
        cut_out(self._connection, self._on_cut)

    # -- for callers ------------------------------------------------------------------------

    @property
    def where(self) -> str:
        """Host and port that it is connected to."""
        return where(self._parameters)

    def consume(self, queue: str, *, prefetch: int) -> None:
        """Ask for deliveries of a queue. Each call adds a consumer.

        Args:
            queue: its name.
            prefetch: unsettled messages at a time, see `bounded`.
        """
        # In RabbitMQ a prefetch applies to each consumer that starts after it, separately.
        self._call(self._channel.basic_qos, prefetch_count=bounded(prefetch))
        tag = self._call(self._channel.basic_consume, queue, partial(self._on_delivery, queue))
        self._consumers[tag.encode()] = queue

    def fetch(self, queue: str) -> None:
        """Ask for one message of a queue; the answer is a `Delivery`, or `Nothing` if it is empty.

        Call it again only after the answer has come.
        """
        self._fetching = queue
        self._call(self._channel.basic_get, queue, partial(self._on_delivery, queue))

    def cancel(self) -> None:
        """End all consumers; deliveries that still arrive are requeued."""
        for consumer in self._consumers:
            self._call(self._channel.basic_cancel, consumer.decode())
        self._consumers.clear()

    def publish(self, message: Message) -> None:
        """Publish with the flag `mandatory`: the broker returns what no queue takes.

        A `PublishOutcome` will give the result.
        """
        self._unconfirmed.add(message)
        key, body, properties, _, exchange = message
        self._call(self._publishing.basic_publish, exchange, key, body, properties, mandatory=True)

    def publish_afresh(self) -> None:
        """Publish through a new channel from now on; call it while nothing is unconfirmed.

        A channel of RabbitMQ 3.10 that first published to a quorum queue when its leader had just
        died asks that node for ever, and answers with nacks while other channels publish.
        """
        old, self._ready = self._publishing, False
        with suppress(NoFreeChannels):  # channel_max of the URL: go on with the old one
            self._call(self._connection.channel, on_open_callback=self._on_publishing)
            self._await(lambda: self._ready)
        if old not in (self._channel, self._publishing):
            self._call(old.close)

    def ack(self, tag: int, *, up_to: bool = False) -> None:
        """Acknowledge a delivery; with `up_to`, all earlier ones too."""
        self._call(self._channel.basic_ack, tag, multiple=up_to)

    def measure(self, queue: str) -> None:
        """Ask for the depth of a queue; `Measured` gives it. A missing queue ends the session."""

        def measured(frame: Any) -> None:
            self._events.append(Measured(queue, frame.method.message_count))

        self._call(self._channel.queue_declare, queue, passive=True, callback=measured)

    @property
    def unconfirmed(self) -> int:
        """How many publishes wait for their confirm."""
        return len(self._unconfirmed)

    def poll(self, timeout: float) -> list[Event]:
        """Read and write the socket, and return the events.

        Args:
            timeout: seconds to wait at most; it may return earlier, also without events.

        Raises:
            BrokerUnavailable: the connection or channel is lost, and all deliveries are void.
                Outcomes of earlier publishes are returned first.
            PermissionMissing: the same, because the user lacks a permission.
            TopologyWrong: the same, because a queue differs from ours.
        """
        if not self._events:
            self._step(timeout)
        events, self._events = self._events, []
        if self._failure is not None:
            events = [event for event in events if isinstance(event, PublishOutcome)]
            if not events:
                raise self._failure
        return events

    def wake(self) -> None:
        """Make a `poll` in another thread return soon."""
        self._loop.add_callback_threadsafe(_nothing)

    def close(self) -> None:
        """Close the connection; never raises."""
        hasty = self.blocked is not None or not self._ready
        deadline = time.monotonic() + (_CLOSE_HASTILY if hasty else CONNECT_TIMEOUT)
        try:
            if self._connection.is_open:
                self._connection.close()
            # pika's loop closes a broken connection too; until then its socket stays open. `_await`
            # would raise, because it takes the closing of the channel for a failure.
            while not self._connection.is_closed and time.monotonic() < deadline:
                self._step(deadline - time.monotonic())
        except (BrokerUnavailable, AMQPError, OSError):
            # The connection is gone either way, and the broker requeues unsettled deliveries.
            pass
        finally:
            self._loop.deactivate_poller()
            self._loop.close()

    # -- pika's callbacks -------------------------------------------------------------------

    def _on_open(self, connection: pika.SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        self._channel = channel
        # pika rejects deliveries of a cancelled consumer. Since RabbitMQ 4.3 a reject counts
        # towards the delivery limit of the message, a nack does not.
        channel.basic_reject = partial(channel.basic_nack, requeue=True)  # type: ignore[method-assign]
        channel.add_callback(self._on_nothing, [Basic.GetEmpty], one_shot=False)
        channel.add_on_cancel_callback(lambda _: self._fail("a queue we consume was deleted"))
        self._on_publishing(channel)

    def _on_publishing(self, channel: Channel) -> None:
        self._publishing = channel
        self._unconfirmed.begin()
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, self._on_confirm_mode)

    def _on_channel_closed(self, _channel: object, reason: Exception) -> None:
        if not isinstance(reason, ChannelClosedByClient):
            self._fail(reason)

    def _on_confirm_mode(self, _frame: object) -> None:
        self._ready = True

    def _on_blocked(self, _connection: object, frame: Any) -> None:
        self.blocked = frame.method.reason or "resource alarm"

    def _on_unblocked(self, _connection: object, _frame: object) -> None:
        self.blocked = None

    def _on_delivery(
        self,
        queue: str,
        _channel: object,
        method: Basic.Deliver | Basic.GetOk,
        properties: Properties,
        body: bytes,
    ) -> None:
        self._events.append(
            Delivery(method.delivery_tag or 0, queue, body, properties, bool(method.redelivered))
        )

    def _on_cut(self, cut: Cut) -> bool:
        queue = self._consumers.get(cut.consumer_tag)
        if queue is None:
            # The consumer was cancelled: pika requeues the delivery.
            return False
        properties = ReceivedProperties().decode(cut.properties)
        self._events.append(
            Delivery(cut.delivery_tag, queue, cut.body, properties, cut.redelivered)
        )
        return True

    def _on_nothing(self, _frame: object) -> None:
        self._events.append(Nothing(self._fetching))

    def _on_return(
        self, _channel: object, method: Basic.Return, _properties: Properties, body: bytes
    ) -> None:
        if not self._unconfirmed.mark_returned(method, body):
            # End the session, because the confirm of that message would count as success.
            self._fail(f"the broker returned a message for {method.routing_key!r} that is not ours")

    def _on_confirm(self, frame: Any) -> None:
        self._events.extend(self._unconfirmed.confirmed(frame.method))

    # -- inside -----------------------------------------------------------------------------

    def _connect(self, host: pika.URLParameters) -> None:
        """Connect to one host, with a new loop: the last one may hold calls of another attempt."""
        self._parameters = host
        self._failure, self.blocked, self._ready = None, None, False
        self._loop = IOLoop()
        self._loop.activate_poller()
        self._connection = pika.SelectConnection(
            host,
            on_open_callback=self._on_open,
            on_open_error_callback=lambda _, error: self._fail(error),
            on_close_callback=lambda _, reason: self._fail(reason),
            custom_ioloop=self._loop,
        )
        try:
            self._await(lambda: self._ready)
        except BaseException:
            self.close()
            raise

    def _fail(self, reason: BaseException | str) -> None:
        if self._failure is None:
            self._failure = failure(reason, self._parameters)

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except NoFreeChannels:
            raise
        except AMQPError as error:
            # The channel is closed; raise the error that callers expect.
            self._fail(error)
            raise self._failure or failure(error, self._parameters) from None

    def _step(self, timeout: float) -> None:
        join_frames(self._connection)
        timer = self._loop.call_later(max(timeout, 0), _nothing)
        try:
            self._loop.poll()
            self._loop.process_timeouts()
        except AMQPError as error:
            self._fail(error)
        finally:
            self._loop.remove_timeout(timer)

    def _await(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + CONNECT_TIMEOUT
        while not done():
            if self._failure is not None:
                raise self._failure
            left = deadline - time.monotonic()
            if left <= 0:
                raise failure(f"no answer within {CONNECT_TIMEOUT} s", self._parameters)
            self._step(left)


def _nothing() -> None:
    """Do nothing: this callback only makes the loop return."""
